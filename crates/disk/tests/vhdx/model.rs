//! Chains of any shape against a flat array of sectors.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyperkeep_disk::vhdx::VhdxImage;
use hyperkeep_disk::{BlockRead, ByteRange, Chain, Content, Layer};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use testkit::vhdx::{Block, Image};
use uuid::Uuid;

/// One layer, before it has an identity.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) sectors: u64,
    pub(crate) logical: u32,
    block_shift: u32,
    blocks: Vec<Option<Block>>,
    backwards: bool,
}

/// What the model says of a sector: its content and the byte that fills it.
type Sector = (Content, u8);

impl Shape {
    /// The file; `depth` is 0 for the base, whose name is `layer0.vhdx`.
    pub(crate) fn image(&self, depth: usize, differencing: bool) -> Image {
        let mut image = Image::new(
            self.sectors * u64::from(self.logical),
            1 << self.block_shift,
        );
        image.logical = self.logical;
        image.data_write = Uuid::from_u128(100 + depth as u128);
        image.backwards = self.backwards;
        image.blocks = (0..image.block_count())
            .zip(&self.blocks)
            .filter_map(|(number, block)| Some((number, block.clone()?)))
            .collect::<BTreeMap<_, _>>();
        if differencing {
            let parent = Uuid::from_u128(99 + depth as u128);
            image.parent = Some(vec![
                ("parent_linkage".into(), format!("{{{parent}}}")),
                (
                    "relative_path".into(),
                    format!(".\\layer{}.vhdx", depth - 1),
                ),
            ]);
        }
        image
    }

    /// The same layer without a kind of block, which becomes what `other` says.
    pub(crate) fn without(mut self, kind: impl Fn(&Block) -> bool, other: Option<Block>) -> Self {
        for block in &mut self.blocks {
            if block.as_ref().is_some_and(&kind) {
                block.clone_from(&other);
            }
        }
        self
    }

    /// Whether there is a block of this kind.
    pub(crate) fn has(&self, kind: impl Fn(&Block) -> bool) -> bool {
        self.blocks.iter().flatten().any(kind)
    }

    /// What this layer alone says of each of its sectors.
    fn sectors(&self, differencing: bool) -> Vec<Sector> {
        let per_block = (1u64 << self.block_shift) / u64::from(self.logical);
        let sector = |n: u64| {
            let block = self.blocks.get((n / per_block) as usize);
            let within = (n % per_block) as usize;
            let byte = |data: &[u8]| {
                data.get(within * self.logical as usize)
                    .copied()
                    .unwrap_or(0)
            };
            match block.and_then(Option::as_ref) {
                None => (Content::Hole, 0),
                Some(Block::Full(data)) => (Content::Data, byte(data)),
                Some(Block::Partial { bits, data }) => {
                    match !differencing || bits.get(within).copied().unwrap_or(false) {
                        true => (Content::Data, byte(data)),
                        false => (Content::Hole, 0),
                    }
                }
                Some(_) => (Content::Zero, 0),
            }
        };
        (0..self.sectors).map(sector).collect()
    }
}

/// Bytes of a block in which every sector has a byte of its own.
fn data(seed: u8, logical: u32, sectors: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(sectors * logical as usize);
    for i in 0..sectors {
        let byte = seed.wrapping_mul(31).wrapping_add((i % 251) as u8) | 1;
        out.extend(std::iter::repeat_n(byte, logical as usize));
    }
    out
}

fn block(logical: u32, block_shift: u32) -> impl Strategy<Value = Option<Block>> {
    let sectors = (1usize << block_shift) / logical as usize;
    let bits = prop::collection::vec((1..sectors, any::<bool>()), 1..8).prop_map(|runs| {
        runs.into_iter()
            .flat_map(|(len, set)| std::iter::repeat_n(set, len % 40 + len / 7))
            .collect::<Vec<_>>()
    });
    prop_oneof![
        2 => Just(None),
        1 => any::<bool>().prop_map(|anchor| Some(Block::Undefined { anchor })),
        1 => Just(Some(Block::Zero)),
        1 => any::<bool>().prop_map(|anchor| Some(Block::Unmapped { anchor })),
        2 => any::<u8>().prop_map(move |seed| Some(Block::Full(data(seed, logical, sectors)))),
        3 => (any::<u8>(), bits).prop_map(move |(seed, mut bits)| {
            bits.truncate(sectors);
            Some(Block::Partial { bits, data: data(seed, logical, sectors) })
        }),
    ]
}

/// Layers, the base first; disks of 5 MiB or, unless all are to be of one size, less.
pub(crate) fn shapes(one_size: bool) -> impl Strategy<Value = Vec<Shape>> {
    prop_oneof![Just(512u32), Just(4096)].prop_flat_map(move |logical| {
        let layer = (20..=22u32).prop_flat_map(move |block_shift| {
            let most = (5 << 20) / u64::from(logical);
            let least = if one_size { most } else { 1 };
            let blocks = (5usize << 20).div_ceil(1 << block_shift);
            let blocks = prop::collection::vec(block(logical, block_shift), blocks);
            (least..=most, blocks, any::<bool>()).prop_map(move |(sectors, blocks, backwards)| {
                Shape {
                    sectors,
                    logical,
                    block_shift,
                    blocks,
                    backwards,
                }
            })
        });
        prop::collection::vec(layer, 1..4)
    })
}

pub(crate) fn open(shapes: &[Shape]) -> Chain {
    let layers = shapes.iter().enumerate().rev().map(|(depth, shape)| {
        let file = shape.image(depth, depth > 0).build();
        Arc::new(VhdxImage::open(file).expect("a good image")) as Arc<dyn Layer>
    });
    Chain::new(layers.collect()).expect("a good chain")
}

/// The whole chain, sector by sector.
pub(crate) fn flat(shapes: &[Shape]) -> Vec<Sector> {
    let mut below: Vec<Sector> = Vec::new();
    for (depth, shape) in shapes.iter().enumerate() {
        let here = shape.sectors(depth > 0).into_iter().enumerate();
        below = here
            .map(|(n, (content, byte))| match content {
                Content::Hole => below.get(n).copied().unwrap_or((Content::Hole, 0)),
                content => (content, byte),
            })
            .collect();
    }
    below
}

fn check(disk: &impl BlockRead, model: &[Sector], logical: u64, at: u64, len: u64) {
    let range = ByteRange::new(at, at + len);
    let mut bytes = vec![0xEE; len as usize];
    disk.read_at(at, &mut bytes)
        .expect("a read within the disk");
    for (i, byte) in bytes.iter().enumerate() {
        let sector = (at + i as u64) / logical;
        assert_eq!(*byte, model[sector as usize].1, "byte {}", at + i as u64);
    }
    let extents = disk.extents(range).expect("extents within the disk");
    let mut next = at;
    let mut before = None;
    for extent in extents {
        assert_eq!(extent.range.start, next, "no gap");
        assert_ne!(Some(extent.content), before, "neighbours are joined");
        for sector in extent.range.start / logical..extent.range.end.div_ceil(logical) {
            assert_eq!(extent.content, model[sector as usize].0, "sector {sector}");
        }
        (next, before) = (extent.range.end, Some(extent.content));
    }
    assert_eq!(next, range.end);
}

proptest! {
    #![proptest_config(testkit::vary::config(40))]

    #[test]
    fn a_chain_reads_like_a_flat_disk(
        shapes in shapes(false),
        ranges in prop::collection::vec((any::<prop::sample::Index>(), 0..200_000u64), 12),
    ) {
        let chain = open(&shapes);
        let logical = u64::from(shapes[0].logical);
        let model = flat(&shapes);
        prop_assert_eq!(chain.len(), model.len() as u64 * logical);
        check(&chain, &model, logical, 0, chain.len());
        for (start, len) in ranges {
            let start = start.index(chain.len() as usize) as u64;
            check(&chain, &model, logical, start, len.min(chain.len() - start));
        }
        for (above, layer) in chain.layers().iter().enumerate() {
            let depth = shapes.len() - 1 - above;
            let alone = shapes[depth].sectors(depth > 0);
            check(&&**layer, &alone, logical, 0, layer.len());
            let lower = chain.below(above).expect("a layer");
            check(&lower, &flat(&shapes[..=depth]), logical, 0, lower.len());
        }
        prop_assert!(chain.read_at(chain.len() - 1, &mut [0; 2]).is_err());
        prop_assert!(chain.below(shapes.len()).is_none());
    }
}

#[test]
fn many_threads_read_one_chain() {
    let mut runner = testkit::vary::runner(1);
    let shapes = shapes(false)
        .new_tree(&mut runner)
        .expect("a chain")
        .current();
    let (chain, model) = (open(&shapes), flat(&shapes));
    let logical = u64::from(shapes[0].logical);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (chain, model) = (&chain, &model);
            scope.spawn(move || {
                let mut random = testkit::crash::Random(testkit::vary::seed(thread));
                for _ in 0..100 {
                    let at = random.below(chain.len());
                    let len = random.below(100_000).min(chain.len() - at);
                    check(chain, model, logical, at, len);
                }
            });
        }
    });
}
