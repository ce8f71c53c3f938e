//! Night after night over one tree: what is read again, what is written, and what every sweep keeps saying.

use crate::memory::Memory;
use crate::scene::{REAL_LIMIT, Scene, Seen};
use hashsweep_case::{CONTRADICTION, Case, CaseError, Freshness, Only, Order, SweepId};
use hashsweep_model::{Outcome, Place, Row, Stamp};
use hashsweep_pipeline::Intake;
use hashsweep_sim::World;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// A tree over which a first night has gone, asking.
async fn first_night(files: &[&str]) -> (Scene, Arc<Memory>) {
    let mut scene = Scene::walking();
    scene.limit = REAL_LIMIT;
    scene.fresh = Freshness::ANYTHING;
    for file in files {
        write(&scene, file, file);
    }
    let service = Arc::new(Memory::new(World::default()));
    scene.next_night();
    let seen = scene.run(scene.late_walk(), Some(Arc::clone(&service))).await;
    assert_eq!(seen.tally.rows, files.len() as u64);
    (scene, service)
}

/// Another night; whoever asks, asks the same service.
async fn night(scene: &mut Scene, service: &Arc<Memory>) -> Seen {
    scene.next_night();
    let seen = scene.run(scene.late_walk(), Some(Arc::clone(service))).await;
    scene.balance(&seen, &service.witness(), 0);
    seen
}

fn write(scene: &Scene, file: &str, content: &str) {
    let path = scene.tree().join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Files read, files that were not.
fn read(scene: &Scene) -> (u64, u64) {
    let gauges = &scene.gauges.source;
    (gauges.files_hashed.load(Relaxed), gauges.files_unchanged.load(Relaxed))
}

/// `outcome, reason` by path, which stands once.
fn told(rows: &[Row]) -> BTreeMap<String, String> {
    let mut told = BTreeMap::new();
    for row in rows {
        let Place::Path(path) = &row.place else { panic!("a walk shows paths") };
        let path = path.strip_prefix(b"tree/").unwrap_or(path).escape_ascii().to_string();
        let fate = row.outcome.name().to_owned() + ", " + row.reason.as_deref().unwrap_or("");
        assert_eq!(told.insert(path.clone(), fate), None, "{path} stands twice");
    }
    told
}

fn rows_of(case: &Case, sweep: i64) -> Vec<Row> {
    let mut rows = Vec::new();
    case.rows(SweepId(sweep), Only::All, Order::Path, |row| {
        rows.push(row);
        Ok::<_, CaseError>(())
    })
    .unwrap();
    rows
}

fn count(scene: &Scene, sql: &str) -> i64 {
    let case = rusqlite::Connection::open(scene.case_path()).unwrap();
    case.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_night_reads_nothing_asks_nothing_and_writes_no_row() {
    let (mut scene, service) = first_night(&["a", "b", "sub/c", "sub/d"]).await;
    std::os::unix::fs::symlink("a", scene.tree().join("link")).unwrap();
    write(&scene, "empty", "");
    night(&mut scene, &service).await;
    let (n_rows, n_wants) =
        (count(&scene, "SELECT count(*) FROM sighting"), count(&scene, "SELECT count(*) FROM want"));

    let seen = night(&mut scene, &service).await;
    assert_eq!(read(&scene), (0, 5));
    assert_eq!((seen.tally.rows, seen.tally.distinct, seen.tally.requests), (6, 5, 0));
    assert_eq!((seen.tally.rows_of(Outcome::Cached), seen.tally.rows_of(Outcome::Local)), (4, 1));
    assert!(seen.tally.is_complete());
    assert_eq!(count(&scene, "SELECT count(*) FROM sighting"), n_rows);
    assert_eq!(count(&scene, "SELECT count(*) FROM want"), n_wants + 1, "the empty file's alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_sweep_said_it_says_for_ever() {
    let (mut scene, service) = first_night(&["same", "changed", "gone", "moved", "touched"]).await;
    night(&mut scene, &service).await;
    let before: Vec<_> = [2, 3]
        .map(|sweep| (rows_of(scene.case(), sweep), scene.case().tally(SweepId(sweep)).unwrap()))
        .into();

    write(&scene, "changed", "to something else");
    write(&scene, "new", "a new one");
    fs::remove_file(scene.tree().join("gone")).unwrap();
    fs::rename(scene.tree().join("moved"), scene.tree().join("elsewhere")).unwrap();
    let touched = OpenOptions::new().append(true).open(scene.tree().join("touched")).unwrap();
    touched.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let seen = night(&mut scene, &service).await;
    assert_eq!(read(&scene), (4, 1));
    let paths: Vec<_> = told(&seen.rows).into_keys().collect();
    assert_eq!(paths, ["changed", "elsewhere", "new", "same", "touched"]);
    assert_eq!(seen.tally.rows_of(Outcome::Answered), 2);

    let after: Vec<_> = [2, 3]
        .map(|sweep| (rows_of(scene.case(), sweep), scene.case().tally(SweepId(sweep)).unwrap()))
        .into();
    assert_eq!(before, after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_with_the_old_size_and_the_old_time_is_read_because_its_change_time_tells() {
    let (mut scene, service) = first_night(&["file"]).await;
    let path = scene.tree().join("file");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let before = changed(&path);
    // Until the clock that file systems use has ticked.
    while changed(&path) == before {
        write(&scene, "file", "elif");
        OpenOptions::new().append(true).open(&path).unwrap().set_modified(modified).unwrap();
    }
    let seen = night(&mut scene, &service).await;
    assert_eq!(read(&scene), (1, 0));
    assert_eq!((seen.tally.contradictions, seen.answered()), (0, 1));
}

fn changed(path: &std::path::Path) -> (i64, i64) {
    use std::os::unix::fs::MetadataExt;
    let meta = fs::metadata(path).unwrap();
    (meta.ctime(), meta.ctime_nsec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_as_the_sweep_began_is_read_again() {
    let (mut scene, service) = first_night(&["file"]).await;
    // A sweep of this very moment, or one that the clock calls earlier than the file's last change.
    for started in [changed(&scene.tree().join("file")).0 * 1000, 0] {
        let Intake::Walk(walk) = scene.walk() else { unreachable!() };
        scene.next_night();
        let walk = Intake::Walk(hashsweep_source::Walk { sweep_started: Stamp(started), ..walk });
        let seen = scene.run(walk, Some(Arc::clone(&service))).await;
        assert_eq!((read(&scene), seen.tally.rows), ((1, 0), 1));
    }
    // Nothing of what those sweeps saw is trusted either.
    night(&mut scene, &service).await;
    assert_eq!(read(&scene), (1, 0));
    night(&mut scene, &service).await;
    assert_eq!(read(&scene), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_names_of_one_file_and_a_file_of_another_number() {
    let (mut scene, service) = first_night(&["a", "other"]).await;
    fs::hard_link(scene.tree().join("a"), scene.tree().join("b")).unwrap();
    night(&mut scene, &service).await;
    night(&mut scene, &service).await;
    assert_eq!(read(&scene), (0, 3));
    // The same bytes under the same name, in a new file.
    write(&scene, "new", "other");
    fs::rename(scene.tree().join("new"), scene.tree().join("other")).unwrap();
    let seen = night(&mut scene, &service).await;
    assert_eq!((read(&scene), seen.tally.rows), ((1, 2), 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_that_changed_behind_the_files_back_is_a_finding_of_its_own() {
    let (mut scene, service) = first_night(&["a", "b", "c"]).await;
    night(&mut scene, &service).await;
    // A disk that forgets cannot be had in a test; a case that remembers otherwise can.
    let case = rusqlite::Connection::open(scene.case_path()).unwrap();
    case.execute("UPDATE sighting SET sha1 = zeroblob(20) WHERE path = x'747265652F62'", []).unwrap();
    drop(case);
    night(&mut scene, &service).await;
    assert_eq!(read(&scene), (0, 3), "nothing tells of it");

    scene.distrust = NonZeroU64::new(1);
    let seen = night(&mut scene, &service).await;
    assert_eq!((read(&scene), seen.tally.contradictions), ((3, 0), 1));
    let told_b = format!("{}, {CONTRADICTION}", Outcome::Cached.name());
    assert_eq!(told(&seen.rows)["b"], told_b);
    assert_eq!(count(&scene, "SELECT count(*) FROM sighting"), 4, "what is as it was goes on");
    // It was found once, and is not news in the next night; but it stands as long as the file does.
    let seen = night(&mut scene, &service).await;
    assert_eq!(scene.gauges.contradictions.load(Relaxed), 0);
    assert_eq!((seen.tally.contradictions, &told(&seen.rows)["b"]), (1, &told_b));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sample_reaches_every_file_in_as_many_nights_as_it_has_shares() {
    let names: Vec<String> = (0..40).map(|n| format!("{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut scene, service) = first_night(&names).await;
    scene.distrust = NonZeroU64::new(4);
    let mut n_read = Vec::new();
    for _ in 0..4 {
        night(&mut scene, &service).await;
        assert_eq!(read(&scene).0 + read(&scene).1, 40);
        n_read.push(read(&scene).0);
    }
    assert_eq!(n_read.iter().sum::<u64>(), 40, "{n_read:?}");
    assert!(n_read.iter().all(|n| (1..40).contains(n)), "{n_read:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_root_that_is_away_for_a_night_is_not_read_again() {
    let (mut scene, service) = first_night(&["a", "sub/b"]).await;
    let away = scene.tree().with_file_name("away");
    fs::rename(scene.tree(), &away).unwrap();
    scene.next_night();
    let Intake::Walk(walk) = scene.late_walk() else { unreachable!() };
    let walk = hashsweep_source::Walk { missing_root: hashsweep_source::MissingRoot::Skip, ..walk };
    for _ in 0..2 {
        let seen = scene.run(Intake::Walk(walk.clone()), Some(Arc::clone(&service))).await;
        assert_eq!((seen.tally.rows, seen.tally.is_complete()), (1, false));
        scene.next_night();
    }
    fs::rename(&away, scene.tree()).unwrap();
    let seen = night(&mut scene, &service).await;
    assert_eq!((read(&scene), seen.tally.rows, seen.tally.is_complete()), ((0, 2), 2, true));
    let seen = night(&mut scene, &service).await;
    assert_eq!((read(&scene), seen.tally.rows), ((0, 2), 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_a_file_system_that_is_not_mounted_are_kept_and_the_gap_is_a_row() {
    let (mut scene, service) = first_night(&["here", "disk/a", "disk/sub/b"]).await;
    // The disk had another name in the first night, and tonight the directory that it was mounted on is empty.
    let case = rusqlite::Connection::open(scene.case_path()).unwrap();
    let on_disk = "path GLOB 'tree/disk/*' OR CAST(path AS TEXT) GLOB 'tree/disk/*'";
    assert_eq!(case.execute(&format!("UPDATE sighting SET device = 7 WHERE {on_disk}"), []).unwrap(), 2);
    drop(case);
    let disk = scene.tree().join("disk");
    let away = scene.tree().with_file_name("away");
    fs::rename(&disk, &away).unwrap();
    fs::create_dir(&disk).unwrap();
    for _ in 0..2 {
        let seen = night(&mut scene, &service).await;
        let expected = [
            ("disk".to_owned(), "skipped, missing root: its file system is not mounted".to_owned()),
            ("here".to_owned(), "cached, ".to_owned()),
        ];
        let mut told = told(&seen.rows);
        for fate in told.values_mut() {
            *fate = fate.replace("cached, absent", "cached, ");
        }
        assert_eq!(told.into_iter().collect::<Vec<_>>(), expected);
        assert!(!seen.tally.is_complete());
    }
    assert_eq!(count(&scene, "SELECT count(*) FROM sighting"), 4, "the gap's row goes on as well");
    // Another disk is mounted there now: what is not on it is gone.
    fs::remove_dir(&disk).unwrap();
    fs::rename(&away, &disk).unwrap();
    fs::remove_file(disk.join("sub/b")).unwrap();
    let seen = night(&mut scene, &service).await;
    assert_eq!(told(&seen.rows).into_keys().collect::<Vec<_>>(), ["disk/a", "here"]);
    assert!(seen.tally.is_complete());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_night_that_was_cut_short_says_nothing_of_what_it_did_not_reach() {
    let (mut scene, service) = first_night(&["a", "b", "c"]).await;
    let before = rows_of(scene.case(), scene.sweep.0);
    let first = scene.sweep.0;
    // A night that began and never came to its end.
    write(&scene, "b", "changed");
    scene.next_night();
    let unfinished = scene.sweep;
    scene.case_mut().group(|group| group.begin_run(unfinished, Stamp(1)).map(drop)).unwrap();
    let tally = scene.case().tally(unfinished).unwrap();
    assert_eq!((tally.rows, tally.check(), tally.intake_finished), (0, Ok(()), false));
    // It goes on as if nothing had been: the unchanged rows are found again.
    let seen = scene.run(scene.late_walk(), Some(Arc::clone(&service))).await;
    assert_eq!((read(&scene), seen.tally.rows), ((1, 2), 3));
    assert_eq!(rows_of(scene.case(), first), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_that_another_one_overtook_keeps_its_rows_to_itself() {
    let (mut scene, service) = first_night(&["a", "b"]).await;
    scene.next_night();
    let overtaken = scene.sweep;
    write(&scene, "c", "c");
    let seen = night(&mut scene, &service).await;
    assert_eq!(seen.tally.rows, 3);
    // Resumed, it reads everything, and takes nothing from the one that came after it.
    fs::remove_file(scene.tree().join("c")).unwrap();
    scene.sweep = overtaken;
    scene.gauges = Arc::default();
    let seen = scene.run(scene.late_walk(), Some(Arc::clone(&service))).await;
    assert_eq!((read(&scene), seen.tally.rows), ((2, 0), 2));
    assert_eq!(rows_of(scene.case(), overtaken.0 + 1).len(), 3);
    scene.sweep = SweepId(overtaken.0 + 1);
    assert_eq!(scene.case().tally(scene.sweep).unwrap().check(), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_night_without_the_service_owes_what_was_never_answered_and_a_later_run_asks_it() {
    let mut scene = Scene::walking();
    scene.limit = REAL_LIMIT;
    scene.fresh = Freshness::ANYTHING;
    for file in ["a", "b", "c"] {
        write(&scene, file, file);
    }
    for _ in 0..2 {
        scene.next_night();
        let seen = scene.run(scene.late_walk(), None::<Arc<Memory>>).await;
        assert_eq!(seen.because(Outcome::Deferred, "offline"), 3);
    }
    assert_eq!(count(&scene, "SELECT sum(n) FROM queue"), 3, "the second night wants nothing of its own");
    let service = Arc::new(Memory::new(World::default()));
    scene.ask(&service).await.is_whole();
    // The night before still owes them: nobody has asked for it.
    assert_eq!(scene.case().tally(SweepId(scene.sweep.0 - 1)).unwrap().rows_of(Outcome::Deferred), 3);
    let seen = night(&mut scene, &service).await;
    assert_eq!((seen.tally.rows_of(Outcome::Cached), seen.tally.requests), (3, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_have_grown_old_are_asked_again() {
    let (mut scene, service) = first_night(&["a", "b"]).await;
    scene.fresh = Freshness::NOTHING;
    let seen = night(&mut scene, &service).await;
    assert_eq!((read(&scene), seen.answered()), ((0, 2), 2));
    seen.is_whole();
}
