//! Sixteen messages under way, and who gets a lane when one ends.
//!
//! Knows nothing of what a message is made of, nor of how a block is hashed.

use crate::engine::{Engine, Kernel};
use crate::kernel::Stretch;
use crate::single;
use crate::state::{LANES, State, States};
use crate::sums::{Sums, Wanted};

/// Bytes of a message that are read at once. Sixteen of these fit into a core's second-level cache beside what
/// else is there.
const PIECE: usize = 32 * 1024;

/// From one lane's buffer to the next. Sixteen buffers at the same distance from a page's start would fight for one
/// set of the first-level cache: a tenth of the speed.
const STRIDE: usize = PIECE + single::PADDING;

/// Something to hash, which yields its bytes piece by piece.
pub trait Message {
    /// Puts its next bytes at the beginning of `space`, as many as it has and as fit.
    ///
    /// It is asked again until it says [`Piece::Last`] or [`Piece::Broken`], each time with room for at least one
    /// byte. What it does not say it has written holds bytes of other messages, never to be looked at.
    fn read(&mut self, space: &mut [u8]) -> Piece;

    /// Moves on to its next bytes where they lie in memory already and need no copy: how many there are, in whole
    /// blocks of 64. With 0, [`read`](Message::read) is asked for what comes next.
    fn lend(&mut self) -> usize {
        0
    }

    /// The bytes that the last call of [`lend`](Message::lend) counted.
    fn lent(&self) -> &[u8] {
        &[]
    }
}

/// What a [`Message`] put into the space it was given, in bytes from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// So many, and there may be more.
    More(usize),
    /// So many, and that was the end.
    Last(usize),
    /// The message cannot be read to its end. It has no digests.
    Broken,
}

/// Hashes messages side by side.
///
/// Messages end in another order than they came in. Up to sixteen are held unfinished until more come or
/// [`finish`](Lanes::finish) is called; dropping the lanes drops them. Memory: about half a MiB.
pub struct Lanes<M> {
    kernel: Kernel,
    wanted: Wanted,
    lanes: [Option<Lane<M>>; LANES],
    states: States,
    space: Vec<u8>,
    /// Where in `space` the first lane's buffer begins, on a boundary of 64.
    space_from: usize,
}

/// One message under way.
struct Lane<M> {
    message: M,
    n_bytes: u64,
    /// Whether the message has lent its bytes; otherwise they are in the lane's buffer.
    is_lent: bool,
    /// The part of its bytes that waits to be hashed: whole blocks.
    from: usize,
    to: usize,
    /// Whether the padding is in the buffer.
    is_last: bool,
}

impl<M: Message> Lane<M> {
    /// What waits to be hashed, where that is not in the message's own memory in this buffer.
    fn waiting<'a>(&'a self, buffer: &'a [u8]) -> &'a [u8] {
        let bytes = if self.is_lent { self.message.lent() } else { buffer };
        &bytes[self.from..self.to]
    }
}

impl<M: Message> Lanes<M> {
    /// Empty lanes.
    ///
    /// # Panics
    /// If the processor cannot run the engine; [`Engine::checked`] tells.
    pub fn new(engine: Engine, wanted: Wanted) -> Lanes<M> {
        Lanes::with(engine.kernel().expect("the engine was checked against the processor"), wanted)
    }

    fn with(kernel: Kernel, wanted: Wanted) -> Lanes<M> {
        let space = vec![0; LANES * STRIDE + 63];
        let space_from = space.as_ptr().align_offset(64);
        Lanes { kernel, wanted, lanes: [const { None }; LANES], states: States::new(), space, space_from }
    }

    /// Whether no message is under way.
    pub fn is_empty(&self) -> bool {
        self.lanes.iter().all(Option::is_none)
    }

    /// Takes a message. Before it does, hashes until there is a lane for it; `ended` hears of messages that ended
    /// by that, with their digests, or with `None` for a broken one.
    pub fn push(&mut self, message: M, ended: &mut impl FnMut(M, Option<&Sums>)) {
        let free = loop {
            match self.lanes.iter().position(Option::is_none) {
                Some(free) => break free,
                None => self.advance(ended),
            }
        };
        self.states.set(free, &State::NEW);
        self.lanes[free] = Some(Lane { message, n_bytes: 0, is_lent: false, from: 0, to: 0, is_last: false });
        self.fill(free, ended);
        if !self.uses_lanes() {
            self.complete(free, ended);
        }
    }

    /// Hashes every message that is under way to its end.
    pub fn finish(&mut self, ended: &mut impl FnMut(M, Option<&Sums>)) {
        let worthwhile = self.worthwhile();
        while self.lanes.iter().flatten().count() >= worthwhile {
            self.advance(ended);
        }
        for lane in 0..LANES {
            self.complete(lane, ended);
        }
    }

    /// Forgets every message that is under way. `ended` does not hear of them.
    pub fn clear(&mut self) {
        self.lanes = [const { None }; LANES];
    }

    /// Whether any wanted function goes through lanes at all.
    fn uses_lanes(&self) -> bool {
        !self.wanted.and(self.kernel.in_lanes()).is_none()
    }

    /// With fewer messages than this, one after the other is faster. From the rates of the kernels: sixteen lanes
    /// cost the same however few are in use.
    fn worthwhile(&self) -> usize {
        match self.wanted.and(self.kernel.in_lanes()) {
            Wanted { md5: false, sha1: false, sha256: false } => LANES + 1,
            Wanted { md5: true, sha1: false, sha256: false } => 2,
            Wanted { md5: false, sha1: true, sha256: false } => 6,
            Wanted { md5: false, sha256: true, .. } => 8,
            Wanted { md5: true, .. } => 4,
        }
    }

    /// Hashes what all messages under way have in their buffers, and reads on where one has run out.
    fn advance(&mut self, ended: &mut impl FnMut(M, Option<&Sums>)) {
        let Some(shortest) = self.lanes.iter().flatten().map(|lane| lane.to - lane.from).min() else {
            return;
        };
        let mut ends = [0; LANES];
        for (end, lane) in ends.iter_mut().zip(&self.lanes) {
            if lane.as_ref().is_some_and(|lane| lane.is_last && lane.to - lane.from == shortest) {
                *end = !0;
            }
        }
        self.hash(shortest, &ends);
        for lane in self.lanes.iter_mut().flatten() {
            lane.from += shortest;
        }
        for lane in 0..LANES {
            self.settle(lane, ended);
        }
    }

    fn hash(&mut self, n_bytes: usize, ends: &[u32; LANES]) {
        let in_lanes = self.wanted.and(self.kernel.in_lanes());
        let mut blocks: [&[[u8; 64]]; LANES] = [&[]; LANES];
        for (nth, (blocks, lane)) in blocks.iter_mut().zip(&self.lanes).enumerate() {
            if let Some(lane) = lane {
                let buffer = &self.space[self.space_from + nth * STRIDE..][..STRIDE];
                *blocks = lane.waiting(buffer)[..n_bytes].as_chunks().0;
            }
        }
        let alone = self.wanted.without(in_lanes);
        if !alone.is_none() {
            for (nth, blocks) in blocks.iter().enumerate() {
                let mut state = self.states.of(nth);
                let turn_last = ends[nth] != 0 && single::is_length_turned(self.wanted);
                single::run(&mut state, blocks, alone, turn_last);
                self.states.set(nth, &state);
            }
        }
        // An idle lane hashes what another does; its state is not looked at.
        let some = blocks.into_iter().find(|blocks| !blocks.is_empty()).unwrap_or_default();
        for blocks in &mut blocks {
            if blocks.is_empty() {
                *blocks = some;
            }
        }
        let turned = if single::is_length_turned(self.wanted) { *ends } else { [0; LANES] };
        let stretch = Stretch { blocks: &blocks, n_blocks: n_bytes / 64, ends: &turned, wanted: in_lanes };
        self.kernel.run(&mut self.states, &stretch);
    }

    /// Ends the lane or reads on, if its buffer is used up.
    fn settle(&mut self, nth: usize, ended: &mut impl FnMut(M, Option<&Sums>)) {
        match &self.lanes[nth] {
            Some(lane) if lane.from < lane.to => {}
            Some(lane) if lane.is_last => self.end(nth, ended),
            Some(_) => self.fill(nth, ended),
            None => {}
        }
    }

    fn end(&mut self, nth: usize, ended: &mut impl FnMut(M, Option<&Sums>)) {
        let lane = self.lanes[nth].take().expect("a message that ends is in a lane");
        ended(lane.message, Some(&self.states.of(nth).sums()));
    }

    /// Fills the lane's buffer with as much as the message has; pads it if that was the end.
    fn fill(&mut self, nth: usize, ended: &mut impl FnMut(M, Option<&Sums>)) {
        let lane = self.lanes[nth].as_mut().expect("a buffer is filled for a message");
        let n_lent = lane.message.lend();
        lane.is_lent = n_lent > 0;
        if lane.is_lent {
            assert!(n_lent.is_multiple_of(64), "a message lends whole blocks");
            lane.n_bytes = lane.n_bytes.wrapping_add(n_lent as u64);
            (lane.from, lane.to) = (0, n_lent);
            return;
        }
        let buffer = &mut self.space[self.space_from + nth * STRIDE..][..STRIDE];
        let mut n_held = 0;
        while n_held < PIECE {
            let piece = lane.message.read(&mut buffer[n_held..PIECE]);
            let n = match piece {
                Piece::More(n) | Piece::Last(n) => n,
                Piece::Broken => {
                    let lane = self.lanes[nth].take().expect("it was there a moment ago");
                    return ended(lane.message, None);
                }
            };
            assert!(n <= PIECE - n_held, "a message wrote more than there was room for");
            n_held += n;
            lane.n_bytes = lane.n_bytes.wrapping_add(n as u64);
            if matches!(piece, Piece::Last(_)) {
                n_held = single::pad(buffer, n_held, lane.n_bytes, self.wanted);
                lane.is_last = true;
                break;
            }
        }
        (lane.from, lane.to) = (0, n_held);
    }

    /// Hashes one lane's message to its end, alone.
    fn complete(&mut self, nth: usize, ended: &mut impl FnMut(M, Option<&Sums>)) {
        while let Some(lane) = &mut self.lanes[nth] {
            let buffer = &self.space[self.space_from + nth * STRIDE..][..STRIDE];
            let blocks = lane.waiting(buffer).as_chunks().0;
            let mut state = self.states.of(nth);
            let turn_last = lane.is_last && single::is_length_turned(self.wanted);
            single::run(&mut state, blocks, self.wanted, turn_last);
            self.states.set(nth, &state);
            lane.from = lane.to;
            self.settle(nth, ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha2::Digest as _;

    /// Sixteen messages at most are under way, so this many make every lane change hands.
    const SEVERAL: usize = 2 * LANES + 5;

    /// Some bytes, read in pieces of at most `step`.
    struct Bytes {
        nth: usize,
        bytes: Vec<u8>,
        from: usize,
        step: usize,
        /// Breaks when so many bytes were read.
        breaks_at: Option<usize>,
        /// How many bytes it lends at a time, and where those of the last time began.
        lends: usize,
        lent_from: usize,
    }

    impl Message for Bytes {
        fn lend(&mut self) -> usize {
            let end = self.breaks_at.unwrap_or(self.bytes.len());
            let n = self.lends.min(end - self.from) / 64 * 64;
            self.lent_from = self.from;
            self.from += n;
            n
        }

        fn lent(&self) -> &[u8] {
            &self.bytes[self.lent_from..self.from]
        }

        fn read(&mut self, space: &mut [u8]) -> Piece {
            if self.breaks_at.is_some_and(|at| self.from >= at) {
                return Piece::Broken;
            }
            let end = self.breaks_at.unwrap_or(self.bytes.len());
            let n = space.len().min(self.step).min(end - self.from);
            space[..n].copy_from_slice(&self.bytes[self.from..self.from + n]);
            self.from += n;
            if self.from == self.bytes.len() { Piece::Last(n) } else { Piece::More(n) }
        }
    }

    fn kernels() -> Vec<Kernel> {
        let mut kernels = vec![Kernel::Plain];
        if cfg!(not(miri)) {
            kernels.extend(Engine::available().filter_map(Engine::kernel));
        } else {
            kernels.push(Kernel::Single);
        }
        #[cfg(target_arch = "x86_64")]
        for sha256_in_lanes in [false, true] {
            if let Some(proof) = crate::avx2::Avx2::proof().filter(|_| cfg!(not(miri))) {
                kernels.push(Kernel::Avx2 { proof, sha256_in_lanes });
            }
        }
        kernels
    }

    fn mixes() -> impl Iterator<Item = Wanted> {
        (1..8).map(|bits| Wanted { md5: bits & 1 != 0, sha1: bits & 2 != 0, sha256: bits & 4 != 0 })
    }

    /// Bytes that no two positions and no two messages share a pattern of.
    fn bytes(nth: usize, n_bytes: usize) -> Vec<u8> {
        (0..n_bytes)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0] ^ nth.to_le_bytes()[0])
            .collect()
    }

    fn check_sums(bytes: &[u8], wanted: Wanted, sums: &Sums) {
        if wanted.md5 {
            assert_eq!(sums.md5[..], md5::Md5::digest(bytes)[..], "MD5 of {} bytes", bytes.len());
        }
        if wanted.sha1 {
            assert_eq!(sums.sha1[..], sha1::Sha1::digest(bytes)[..], "SHA-1 of {} bytes", bytes.len());
        }
        if wanted.sha256 {
            assert_eq!(sums.sha256[..], sha2::Sha256::digest(bytes)[..], "SHA-256 of {} bytes", bytes.len());
        }
    }

    /// Pushes all messages through; every one must end once, a broken one without sums, the others with the sums
    /// that RustCrypto gives.
    fn check(kernel: Kernel, wanted: Wanted, messages: Vec<Bytes>) {
        let mut n_ended = vec![0; messages.len()];
        let mut ended = |message: Bytes, sums: Option<&Sums>| {
            n_ended[message.nth] += 1;
            match sums {
                Some(sums) => {
                    assert_eq!(message.breaks_at, None);
                    check_sums(&message.bytes, wanted, sums);
                }
                None => assert!(message.breaks_at.is_some()),
            }
        };
        let mut lanes = Lanes::with(kernel, wanted);
        for message in messages {
            lanes.push(message, &mut ended);
        }
        lanes.finish(&mut ended);
        assert!(lanes.is_empty());
        assert!(n_ended.iter().all(|n| *n == 1), "a message ended {n_ended:?} times");
    }

    fn whole(nth: usize, n_bytes: usize) -> Bytes {
        Bytes {
            nth,
            bytes: bytes(nth, n_bytes),
            from: 0,
            step: usize::MAX,
            breaks_at: None,
            lends: 0,
            lent_from: 0,
        }
    }

    #[test]
    fn every_length_around_the_edges_of_blocks_and_pieces_in_every_engine() {
        let lengths: Vec<usize> = if cfg!(miri) {
            (0..=130).step_by(7).chain([55, 56, 63, 64, 119, 120, 127, 128]).collect()
        } else {
            let around =
                [320, 1024, PIECE - 64, PIECE, PIECE + 64, 2 * PIECE].map(|edge| edge - 9..edge + 10);
            (0..=260).chain(around.into_iter().flatten()).collect()
        };
        for kernel in kernels() {
            for wanted in mixes() {
                check(kernel, wanted, lengths.iter().enumerate().map(|(nth, n)| whole(nth, *n)).collect());
            }
        }
    }

    /// With one message the lanes are never worth it, with sixteen always, and in between the last ones change
    /// from lanes to the single path while they are under way.
    #[test]
    fn any_number_of_messages_ends() {
        let n_most = if cfg!(miri) { 3 } else { SEVERAL };
        for kernel in kernels() {
            for n_messages in 0..n_most {
                let messages = (0..n_messages).map(|nth| whole(nth, nth * 97)).collect();
                check(kernel, Wanted::ALL, messages);
            }
        }
    }

    /// No message of a test is long enough to fill the upper half of the length that its padding ends in, so here
    /// the blocks, the states and which messages end are made up.
    #[test]
    fn a_length_of_any_size_is_turned_for_md5_alone_and_only_where_a_message_ends() {
        for kernel in kernels() {
            let wanted = kernel.in_lanes();
            if wanted.is_none() {
                continue;
            }
            for n_blocks in [1, 7, 8, 9, 16, 17] {
                let all: Vec<Vec<u8>> = (0..LANES).map(|nth| bytes(nth, n_blocks * 64)).collect();
                let blocks: [&[[u8; 64]]; LANES] = std::array::from_fn(|nth| all[nth].as_chunks().0);
                let ends = std::array::from_fn(|nth| if nth % 3 == 0 { !0 } else { 0 });
                let mut states = States::new();
                for nth in 0..LANES {
                    states.set(nth, &State::NEW);
                }
                kernel.run(&mut states, &Stretch { blocks: &blocks, n_blocks, ends: &ends, wanted });
                for nth in 0..LANES {
                    let mut alone = State::NEW;
                    single::run(&mut alone, blocks[nth], wanted, ends[nth] != 0);
                    assert_eq!(states.of(nth).sums(), alone.sums(), "lane {nth} of {n_blocks} blocks");
                }
            }
        }
    }

    #[test]
    fn what_was_cleared_leaves_nothing_behind_in_the_lanes() {
        for kernel in kernels() {
            for wanted in mixes() {
                let mut lanes = Lanes::with(kernel, wanted);
                for nth in 0..LANES + 3 {
                    lanes.push(whole(nth, PIECE + 100 * nth), &mut |_, _| {});
                }
                lanes.clear();
                let mut n_ended = 0;
                let mut ended = |message: Bytes, sums: Option<&Sums>| {
                    n_ended += 1;
                    check_sums(&message.bytes, wanted, sums.unwrap());
                };
                for nth in 0..LANES + 3 {
                    lanes.push(whole(nth, 7 * nth), &mut ended);
                }
                lanes.finish(&mut ended);
                assert_eq!(n_ended, LANES + 3);
            }
        }
    }

    #[test]
    fn what_was_cleared_is_not_heard_of() {
        let mut lanes = Lanes::with(Kernel::Plain, Wanted::ALL);
        let mut n_ended = 0;
        let mut ended = |_: Bytes, _: Option<&Sums>| n_ended += 1;
        for nth in 0..3 {
            lanes.push(whole(nth, 100), &mut ended);
        }
        lanes.clear();
        assert!(lanes.is_empty());
        lanes.finish(&mut ended);
        assert_eq!(n_ended, 0);
    }

    #[test]
    #[should_panic(expected = "more than there was room for")]
    fn a_message_that_claims_more_than_it_was_given_room_for_is_a_bug() {
        struct Liar;
        impl Message for Liar {
            fn read(&mut self, space: &mut [u8]) -> Piece {
                Piece::Last(space.len() + 1)
            }
        }
        Lanes::with(Kernel::Plain, Wanted::ALL).push(Liar, &mut |_, _| {});
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 64 }))]
        // Minutes a case; under Miri the test of the edges runs the same code.
        #[cfg_attr(miri, ignore)]
        #[test]
        fn messages_of_any_lengths_read_in_any_pieces_end_with_their_own_digests(
            shapes in prop::collection::vec(
                (
                    prop_oneof![0..300usize, 0..5_000usize, PIECE - 70..PIECE + 70, 0..100_000usize],
                    prop_oneof![Just(usize::MAX), 1..200usize, 1..5_000usize],
                    prop::option::weighted(0.1, 0..5_000usize),
                    prop_oneof![Just(0), 64..70_000usize],
                ),
                0..SEVERAL,
            ),
            mix in 1..8u8,
        ) {
            let wanted = Wanted { md5: mix & 1 != 0, sha1: mix & 2 != 0, sha256: mix & 4 != 0 };
            for kernel in kernels() {
                let messages = shapes.iter().enumerate().map(|(nth, (n_bytes, step, breaks_at, lends))| Bytes {
                    nth,
                    bytes: bytes(nth, *n_bytes),
                    from: 0,
                    step: *step,
                    breaks_at: breaks_at.filter(|at| at < n_bytes),
                    lends: *lends,
                    lent_from: 0,
                });
                check(kernel, wanted, messages.collect());
            }
        }

        #[test]
        fn a_stream_in_any_pieces_gives_the_digests_of_the_whole(
            n_bytes in 0..if cfg!(miri) { 200 } else { 5_000usize },
            cuts in prop::collection::vec(0usize..300, 0..40),
            mix in 1..8u8,
        ) {
            let wanted = Wanted { md5: mix & 1 != 0, sha1: mix & 2 != 0, sha256: mix & 4 != 0 };
            let all = bytes(1, n_bytes);
            let mut stream = single::Stream::new(wanted);
            let mut rest = &all[..];
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                stream.update(piece);
                rest = after;
            }
            stream.update(rest);
            check_sums(&all, wanted, &stream.finish());
        }
    }
}
