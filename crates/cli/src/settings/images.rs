//! How disk images are read.

use super::{engine, globs};
use crate::args;
use anyhow::Context;
use hashsweep_model::Kinds;
use hashsweep_source::{ImageOrder, OwnFiles, PathMap, Root};
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;

/// What of the images is read and what it is called, as it can be stored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Images {
    include: Vec<String>,
    exclude: Vec<String>,
    min_size: Option<u64>,
    max_size: Option<u64>,
    path_map: Vec<String>,
    verify: bool,
    /// Sweeps of earlier versions do not say.
    #[serde(default)]
    deleted: bool,
    #[serde(default)]
    raw: bool,
    jobs: Option<NonZeroUsize>,
}

impl Images {
    pub(crate) fn new(typed: &args::ImageReading) -> Images {
        Images {
            include: typed.include.clone(),
            exclude: typed.exclude.clone(),
            min_size: typed.min_size,
            max_size: typed.max_size,
            path_map: typed.path_map.clone(),
            verify: typed.verify,
            deleted: typed.deleted,
            raw: typed.raw,
            jobs: typed.jobs,
        }
    }

    /// Of a manifest, which has the options of a walk.
    pub(crate) fn of_manifest(hash: &args::Hash) -> Images {
        let walking = &hash.walking;
        Images {
            include: walking.include.clone(),
            exclude: walking.exclude.clone(),
            min_size: walking.min_size,
            max_size: walking.max_size,
            path_map: hash.path_map.clone(),
            verify: false,
            deleted: hash.deleted,
            raw: hash.raw,
            jobs: walking.jobs,
        }
    }

    pub(crate) fn order(&self, roots: Vec<Root>, kinds: Kinds, own: OwnFiles) -> anyhow::Result<ImageOrder> {
        let named = self.path_map.iter().map(|text| text.parse()).collect::<Result<Vec<_>, _>>();
        let path_map = named.and_then(PathMap::new).map_err(anyhow::Error::msg).context("read --path-map")?;
        Ok(ImageOrder {
            roots,
            kinds,
            path_map,
            verify: self.verify,
            deleted: self.deleted,
            raw: self.raw,
            include: globs(&self.include)?,
            exclude: globs(&self.exclude)?,
            min_size: self.min_size,
            max_size: self.max_size,
            own,
            jobs: self.jobs.unwrap_or(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)),
            engine: engine(None)?,
        })
    }
}
