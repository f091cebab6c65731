//! A kernel as the tile machine runs it: steps with their functions picked, tile slots, roots.
//!
//! Everything here depends on the kernel and the instruction set alone. What depends on strides is decided once per
//! launch, in [`super::launch`].

use super::emit::Group;
use super::geometry::{Axis, STRIPE_POINTS};
use crate::dtype::DType;
use crate::ir::{Inst, Kernel, Root, Value};
use crate::op::ReduceOp;
use blockwise_kernels::tile::{self, Isa, Operands};
use smallvec::SmallVec;

/// A compiled kernel.
#[derive(Debug)]
pub struct Program {
    /// What to run for every panel, in order.
    pub steps: Vec<Step>,
    /// What to do with the values of a panel.
    pub roots: Vec<RootPlan>,
    /// What the reductions among the roots do with them: one walk each.
    pub folds: Vec<FoldPlan>,
    /// Number of inputs: the first tracks are theirs.
    pub inputs: usize,
    /// Bytes of an element of every operand's track (8 for indices and positions).
    pub track_sizes: Vec<usize>,
    /// Axis of every `Index`, whose tracks come last.
    pub index_axes: SmallVec<[u8; 2]>,
    /// The track of the first store.
    pub first_store: Option<usize>,
    /// Whether the points must be visited in C order.
    pub ordered: bool,
    /// Whether the panels must depend on the region alone, because floats are folded. Implies `ordered`.
    pub sensitive: bool,
    /// Whether nothing is computed, so that reductions take their inputs where they lie.
    pub is_direct: bool,
    /// Whether nothing but stores needs the values, so that rows may be longer than tiles.
    pub unbounded: bool,
    /// Points of a tile.
    pub tile: usize,
    /// The bits of every constant, by value, in memory order.
    pub constants: Vec<(Value, u64)>,
    /// Size of every value's dtype.
    pub sizes: Vec<u8>,
    /// Where every value's tile lies in the scratch memory.
    pub slots: Vec<u32>,
    /// Number of splat tiles, then the planes' scratch: after the slots.
    pub temps: [u32; 3],
    /// Where accumulators that are not contiguous are folded.
    pub planes: u32,
    /// Bytes of scratch memory.
    pub scratch: usize,
    /// By value: whether only reductions use it.
    pub only_folded: Vec<bool>,
    /// By value: how many steps and roots use it.
    pub uses: Vec<u32>,
    /// Functions that move elements of 1, 2, 4 and 8 bytes.
    pub movers: Movers,
}

/// Functions that move elements, by the logarithm of their size.
#[derive(Debug)]
#[allow(missing_docs, reason = "named after the functions of `tile`")]
pub struct Movers {
    pub gather: [tile::GatherFn; 4],
    pub gather_panel: [tile::PanelFn; 4],
    pub scatter: [tile::ScatterFn; 4],
    pub splat: [tile::UnaryFn; 4],
    pub stream_copy: tile::StreamFn,
}

/// One step: computes one value, or those of a fused group.
#[derive(Debug)]
pub struct Step {
    /// What is computed; unused for groups.
    pub out: Value,
    /// Operands; unused for groups.
    pub args: SmallVec<[Value; 3]>,
    /// How.
    pub code: Code,
}

/// How a step computes. Where there is a choice, bit `k` of the index says that operand `k` is a single element; the
/// variant in which none is always exists.
#[derive(Debug)]
#[allow(missing_docs, reason = "see above")]
pub enum Code {
    Load { input: usize },
    Index { track: usize, iota: tile::IotaFn },
    Unary(tile::UnaryFn),
    Binary([Option<tile::BinaryFn>; 4]),
    Ternary([Option<tile::TernaryFn>; 8]),
    Group(Box<Group>),
}

/// A root.
#[derive(Debug)]
#[allow(missing_docs, reason = "as in `ir::Root`")]
pub enum RootPlan {
    Store {
        value: Value,
        track: usize,
    },
    Reduce {
        axes: SmallVec<[u8; 4]>,
        /// Whether it counts positions: their track follows the planes'.
        arg: bool,
        /// The first plane's track.
        track: usize,
    },
    Select {
        mask: Value,
        value: Value,
        compact: tile::CompactFn,
    },
    GroupReduce {
        value: Value,
        slot: Value,
        mask: Option<Value>,
        kind: (ReduceOp, DType),
        fold: tile::FoldGroups,
    },
}

/// One walk over a panel's values: a reduction, or several of the same value.
#[derive(Debug)]
pub struct FoldPlan {
    /// What is folded.
    pub value: Value,
    /// The tracks of the planes; `None` for those that the walk could fold and nobody asks for.
    pub planes: SmallVec<[Option<usize>; tile::PLANES]>,
    /// The track of the position, for reductions that count them.
    pub place: Option<usize>,
    /// Whether it is the sum of f32 or f64, and nothing else.
    pub sums_floats: bool,
    /// Into accumulators of rows.
    pub fold_rows: tile::FoldRows,
    /// Into accumulators of columns.
    pub fold_cols: tile::FoldCols,
}

/// What a program is made of, in order of execution.
pub enum Item {
    /// An instruction that is run as it is.
    Inst(usize),
    /// Instructions fused into machine code.
    Group(Box<Group>),
}

impl Program {
    /// The program of a kernel that runs these items. Every value that an item or a root uses must come from an item or be a
    /// constant.
    pub fn new(kernel: &Kernel, isa: Isa, items: Vec<Item>) -> Program {
        let (roots, mut track_sizes, first_store) = plan_roots(kernel);
        let folds = plan_folds(kernel, &roots, isa);
        let mut index_axes = SmallVec::new();
        let mut slots = Slots::new(kernel, &items);
        let mut steps = Vec::new();
        for (at, item) in items.into_iter().enumerate() {
            slots.enter(kernel, at, &item);
            steps.push(match item {
                Item::Group(group) => Step { out: Value(0), args: SmallVec::new(), code: Code::Group(group) },
                Item::Inst(k) => {
                    let inst = kernel.insts()[k];
                    let code = match inst {
                        Inst::Index { axis } => {
                            index_axes.push(axis);
                            track_sizes.push(8);
                            Code::Index { track: track_sizes.len() - 1, iota: tile::iota(isa) }
                        }
                        other => code(kernel, isa, &other),
                    };
                    Step { out: Value(k as u32), args: inst.operands(), code }
                }
            });
            slots.leave(at);
        }
        let tile = tile_len(kernel);
        let mut end = slots.end;
        let mut area = |elements: usize| {
            let at = end;
            end += padded(elements * 8);
            at as u32
        };
        let temps = [area(tile), area(tile), area(tile)];
        let planes = area(folds.iter().map(|f| f.planes.len()).max().unwrap_or(0) * tile);
        let constants = (0..kernel.insts().len() as u32).map(Value).filter_map(|v| constant(kernel, v));
        let sensitive = kernel.roots().iter().any(|root| folds_floats(kernel, root));
        let ordered = sensitive
            || kernel.roots().iter().any(|root| match root {
                Root::Store { .. } => false,
                Root::Reduce { op, .. } => op.is_arg(),
                Root::Select { .. } | Root::GroupReduce { .. } => true,
            });
        Program {
            inputs: kernel.inputs().len(),
            track_sizes,
            index_axes,
            first_store,
            ordered,
            sensitive,
            is_direct: roots.iter().all(|r| matches!(r, RootPlan::Reduce { .. }))
                && steps.iter().all(|s: &Step| matches!(s.code, Code::Load { .. })),
            unbounded: roots.iter().all(|r| matches!(r, RootPlan::Store { .. })),
            roots,
            folds,
            steps,
            tile,
            constants: constants.collect(),
            sizes: (0..kernel.insts().len()).map(|k| kernel.dtype(Value(k as u32)).size() as u8).collect(),
            slots: slots.of,
            temps,
            planes,
            scratch: end,
            only_folded: slots.only_folded,
            uses: slots.uses,
            movers: Movers {
                gather: [1, 2, 4, 8].map(|size| tile::gather(isa, size)),
                gather_panel: [1, 2, 4, 8].map(|size| tile::gather_panel(isa, size)),
                scatter: [1, 2, 4, 8].map(|size| tile::scatter(isa, size)),
                splat: [1, 2, 4, 8].map(tile::splat),
                stream_copy: tile::stream_copy(isa),
            },
        }
    }

    /// Every instruction as it is: the plain tile machine's items.
    pub fn plain_items(kernel: &Kernel) -> Vec<Item> {
        let constant = |k: &usize| matches!(kernel.insts()[*k], Inst::Const(_));
        (0..kernel.insts().len()).filter(|k| !constant(k)).map(Item::Inst).collect()
    }

    fn planes(&self) -> impl Iterator<Item = usize> {
        self.roots.iter().filter_map(|r| match r {
            RootPlan::Reduce { track, .. } => Some(*track),
            _ => None,
        })
    }

    /// Whether some reduction folds the points of this axis into one.
    pub fn folds_along(&self, axis: &Axis) -> bool {
        self.planes().any(|t| axis.steps[t] == 0)
    }

    /// Whether some reduction keeps this axis.
    pub fn folds_apart(&self, axis: &Axis) -> bool {
        self.planes().any(|t| axis.steps[t] != 0)
    }

    /// Whether some reduction folds the points of the first axis, each with its like on the second.
    pub fn folds_across(&self, row: &Axis, col: &Axis) -> bool {
        self.planes().any(|t| row.steps[t] == 0 && col.steps[t] != 0)
    }
}

/// The bits of a constant in memory order.
fn constant(kernel: &Kernel, v: Value) -> Option<(Value, u64)> {
    let Inst::Const(s) = kernel.insts()[v.0 as usize] else { return None };
    let bits = if cfg!(target_endian = "big") { s.bits() << (64 - 8 * s.dtype().size()) } else { s.bits() };
    Some((v, bits))
}

/// Whether the bits of a root's result depend on the order of the points.
fn folds_floats(kernel: &Kernel, root: &Root) -> bool {
    match root {
        Root::Reduce { op: ReduceOp::M2 | ReduceOp::NanM2 | ReduceOp::NanSum, .. } => true,
        Root::Reduce { op: ReduceOp::Sum | ReduceOp::Prod, value, .. } => kernel.dtype(*value).is_float(),
        _ => false,
    }
}

/// Points of a tile: the same for every way to run a kernel, because it shapes the folds.
fn tile_len(kernel: &Kernel) -> usize {
    let computed = kernel.insts().iter().any(|i| !matches!(i, Inst::Load(_) | Inst::Const(_)));
    let widest = (0..kernel.insts().len()).map(|k| kernel.dtype(Value(k as u32)).size()).max();
    match (computed, widest) {
        (false, _) => 4096,
        (true, Some(8)) => 512,
        _ => 1024,
    }
}

/// The functions of an instruction.
fn code(kernel: &Kernel, isa: Isa, inst: &Inst) -> Code {
    let d = |v: Value| kernel.dtype(v);
    let modes = [Some(Operands::VV), Some(Operands::SV), Some(Operands::VS), None];
    match *inst {
        Inst::Load(n) => Code::Load { input: n as usize },
        Inst::Const(_) | Inst::Index { .. } => unreachable!("not an item, or handled by the caller"),
        Inst::Cast { to, x } => Code::Unary(tile::cast(isa, d(x), to)),
        Inst::Unary { op, x } => Code::Unary(tile::unary(isa, op, d(x))),
        Inst::Binary { op, a, .. } => {
            Code::Binary(modes.map(|m| m.and_then(|m| tile::binary(isa, op, d(a), m))))
        }
        Inst::Compare { op, a, .. } => {
            Code::Binary(modes.map(|m| m.map(|m| tile::compare(isa, op, d(a), m))))
        }
        Inst::Select { a, .. } => Code::Ternary(std::array::from_fn(|p| {
            (p & 1 == 0).then(|| tile::select(isa, d(a).size(), p & 2 != 0, p & 4 != 0))
        })),
        Inst::MulAdd { a, .. } => Code::Ternary(std::array::from_fn(|p| {
            tile::mul_add(isa, d(a), p & 1 != 0, p & 2 != 0, p & 4 != 0)
        })),
    }
}

/// Roots, the sizes of the tracks of inputs and roots, and the first store's track.
fn plan_roots(kernel: &Kernel) -> (Vec<RootPlan>, Vec<usize>, Option<usize>) {
    let mut sizes: Vec<usize> = kernel.inputs().iter().map(|i| i.dtype.size()).collect();
    let mut first_store = None;
    let mut roots = Vec::new();
    for root in kernel.roots() {
        let track = sizes.len();
        roots.push(match root {
            Root::Store { value } => {
                sizes.push(kernel.dtype(*value).size());
                first_store.get_or_insert(track);
                RootPlan::Store { value: *value, track }
            }
            Root::Reduce { op, value, axes } => {
                sizes.extend(op.planes(kernel.dtype(*value)).iter().map(|p| p.size()));
                if op.is_arg() {
                    sizes.push(8);
                }
                RootPlan::Reduce { axes: axes.clone(), arg: op.is_arg(), track }
            }
            Root::GroupReduce { op, value, slot, mask } => RootPlan::GroupReduce {
                value: *value,
                slot: *slot,
                mask: *mask,
                kind: (*op, kernel.dtype(*value)),
                fold: tile::fold_groups(*op, kernel.dtype(*value)).expect("verified: no arg-reduction"),
            },
            Root::Select { mask, value } => RootPlan::Select {
                mask: *mask,
                value: *value,
                compact: tile::compact(kernel.dtype(*value).size()),
            },
        });
    }
    (roots, sizes, first_store)
}

/// The walks that fold: reductions of one value over the same axes share one where there is a function for that.
fn plan_folds(kernel: &Kernel, roots: &[RootPlan], isa: Isa) -> Vec<FoldPlan> {
    let mut walks: Vec<(Value, &[u8], SmallVec<[(ReduceOp, usize); 5]>)> = Vec::new();
    for (root, plan) in kernel.roots().iter().zip(roots) {
        if let (Root::Reduce { op, value, axes }, RootPlan::Reduce { track, .. }) = (root, plan) {
            let place = |op: ReduceOp| tile::shared(op, kernel.dtype(*value));
            let fits = |with: &(ReduceOp, usize)| match (place(*op), place(with.0)) {
                (Some((a, numbers)), Some((b, numbers_too))) => a != b && numbers == numbers_too,
                _ => false,
            };
            let known = walks
                .iter_mut()
                .find(|(v, a, ops)| v == value && *a == axes.as_slice() && ops.iter().all(fits));
            match known {
                Some((_, _, ops)) => ops.push((*op, *track)),
                None => walks.push((*value, axes, SmallVec::from_slice(&[(*op, *track)]))),
            }
        }
    }
    walks.into_iter().map(|(value, _, ops)| plan_fold(kernel.dtype(value), value, &ops, isa)).collect()
}

/// The walk of these reductions, each with its first track.
fn plan_fold(d: DType, value: Value, ops: &[(ReduceOp, usize)], isa: Isa) -> FoldPlan {
    if let &[(op, track)] = ops {
        let planes = plane_count(op);
        return FoldPlan {
            value,
            planes: (track..track + planes).map(Some).collect(),
            place: op.is_arg().then_some(track + planes),
            sums_floats: op == ReduceOp::Sum && matches!(d, DType::F32 | DType::F64),
            fold_rows: tile::fold_rows(isa, op, d),
            fold_cols: tile::fold_cols(isa, op, d),
        };
    }
    let mut planes = SmallVec::from_elem(None, tile::PLANES);
    for &(op, track) in ops {
        for k in 0..plane_count(op) {
            planes[tile::shared(op, d).map_or(0, |(first, _)| first) + k] = Some(track + k);
        }
    }
    let list: SmallVec<[ReduceOp; 5]> = ops.iter().map(|(op, _)| *op).collect();
    let (fold_rows, fold_cols) = tile::joint(isa, &list, d);
    FoldPlan { value, planes, place: None, sums_floats: false, fold_rows, fold_cols }
}

/// Gives values places in the scratch memory; a place is used again after its value's last use.
struct Slots {
    of: Vec<u32>,
    /// Item of the last use, by value.
    last: Vec<usize>,
    only_folded: Vec<bool>,
    uses: Vec<u32>,
    tile: usize,
    free: Vec<(usize, u32)>,
    live: Vec<(Value, usize)>,
    end: usize,
}

impl Slots {
    fn new(kernel: &Kernel, items: &[Item]) -> Slots {
        let n = kernel.insts().len();
        let mut slots = Slots {
            of: vec![0; n],
            last: vec![0; n],
            only_folded: vec![true; n],
            uses: vec![0; n],
            tile: tile_len(kernel),
            free: Vec::new(),
            live: Vec::new(),
            end: 0,
        };
        for (at, item) in items.iter().enumerate() {
            let used: SmallVec<[Value; 3]> = match item {
                Item::Inst(k) => kernel.insts()[*k].operands(),
                Item::Group(group) => group.inputs.iter().copied().collect(),
            };
            for v in used {
                slots.last[v.0 as usize] = at;
                slots.only_folded[v.0 as usize] = false;
                slots.uses[v.0 as usize] += 1;
            }
        }
        for root in kernel.roots() {
            for v in root.operands() {
                slots.last[v.0 as usize] = usize::MAX;
                slots.only_folded[v.0 as usize] &= matches!(root, Root::Reduce { .. });
                slots.uses[v.0 as usize] += 1;
            }
        }
        slots
    }

    /// Places what an item defines.
    fn enter(&mut self, kernel: &Kernel, at: usize, item: &Item) {
        let defined: SmallVec<[Value; 4]> = match item {
            Item::Inst(k) => SmallVec::from_slice(&[Value(*k as u32)]),
            Item::Group(group) => group.outputs.iter().copied().collect(),
        };
        for v in defined {
            // loads may be packed before any step runs, for several rows: their places are their own
            let is_load = matches!(kernel.insts()[v.0 as usize], Inst::Load(_));
            let points = if is_load { self.tile.max(STRIPE_POINTS) } else { self.tile };
            let bytes = padded(points * kernel.dtype(v).size());
            let slot = match self.free.iter().position(|(size, _)| *size == bytes && !is_load) {
                Some(k) => self.free.swap_remove(k).1,
                None => {
                    self.end += bytes;
                    (self.end - bytes) as u32
                }
            };
            self.of[v.0 as usize] = slot;
            self.last[v.0 as usize] = self.last[v.0 as usize].max(at);
            if !is_load {
                self.live.push((v, bytes));
            }
        }
    }

    /// Frees what an item was the last to use.
    fn leave(&mut self, at: usize) {
        let (last, of, free) = (&self.last, &self.of, &mut self.free);
        self.live.retain(|&(v, bytes)| {
            let over = last[v.0 as usize] <= at;
            if over {
                free.push((bytes, of[v.0 as usize]));
            }
            !over
        });
    }
}

/// Tiles begin on cache lines, and not at multiples of 4096 bytes from each other.
fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(64) + 128
}

/// The number of planes of a reduction.
pub fn plane_count(op: ReduceOp) -> usize {
    match op {
        ReduceOp::M2 | ReduceOp::NanM2 => 3,
        _ if op.is_arg() => 2,
        _ => 1,
    }
}
