//! Expressions over columns as a program: kernels for what kernels know, functions of columns for the rest.
//!
//! Everything that kernels know and that needs the result of no function runs in one kernel, then the functions that need only that,
//! then a second kernel, and so on: most programs are one kernel. A kernel is made for the columns that have nulls in the batch at
//! hand, so a batch without nulls pays nothing for them.

use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::expr::frame::{KernelOp, Literal, Typed, TypedOp, kernel_dtype};
use crate::ir::{Builder, Kernel, Value};
use crate::op::{BinaryOp, CompareOp, ReduceOp, UnaryOp};
use crate::shape::IndexMap;
use arrow::datatypes::DataType;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The number of a column during a run: first the batch's columns, then what steps make.
pub type Register = usize;

/// What makes columns out of a batch's.
#[derive(Debug)]
pub struct Program {
    /// Steps in order.
    pub steps: Vec<Step>,
    /// Where each result is when all have run.
    pub outputs: Vec<(Register, DataType)>,
    /// Number of registers.
    pub registers: usize,
}

/// One step of a program.
#[derive(Debug)]
pub enum Step {
    /// A value for all rows.
    Literal(Literal, DataType, Register),
    /// A kernel.
    Kernel(KernelStep),
    /// A function of columns.
    Host {
        /// Which.
        op: TypedOp,
        /// Type of its result.
        data_type: DataType,
        /// Its operands.
        inputs: Vec<Register>,
        /// Its result.
        output: Register,
    },
}

/// A value that kernels compute: its number in a list of [`Operation`]s.
pub type Code = usize;

/// What kernels compute from registers and values before it in a list: [`Typed`] with every operand by its number.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Operation {
    /// A register's values.
    Load(Register, DType),
    /// A value; null if there is none.
    Literal(Option<Scalar>, DType),
    /// An operation.
    Op(KernelOp, DType, Vec<Code>),
}

/// A kernel, up to which of its inputs have nulls.
#[derive(Debug)]
pub struct KernelStep {
    /// The registers it reads, without repetition.
    pub inputs: Vec<(Register, DType)>,
    /// The values that it computes, each once; operands come first.
    code: Vec<Operation>,
    /// What it does.
    pub effects: Vec<Effect>,
    /// Only rows where this is true take part in group effects.
    pub mask: Option<Code>,
    variants: Mutex<HashMap<Vec<bool>, Arc<Variant>>>,
}

/// What a kernel does with a value.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Makes a column.
    Store {
        /// The value.
        value: Code,
        /// Where the column goes.
        output: Register,
        /// Its type.
        data_type: DataType,
    },
    /// Folds the values that are not null into the accumulators of the rows' groups.
    Group {
        /// The fold.
        op: ReduceOp,
        /// The value.
        value: Code,
    },
    /// Counts the values that are not null by group: a sum of i64.
    GroupCount {
        /// The value.
        value: Code,
    },
}

/// A kernel for one choice of inputs with nulls. Its inputs are the step's values, then the validity of those that have nulls, then the
/// slots if it groups.
#[derive(Debug)]
pub struct Variant {
    /// The kernel.
    pub kernel: Kernel,
    /// By `Store` effect: whether a validity is stored after the values.
    pub nullable: Vec<bool>,
}

impl Operation {
    pub(super) fn dtype(&self) -> DType {
        match self {
            Operation::Load(_, d) | Operation::Literal(_, d) | Operation::Op(_, d, _) => *d,
        }
    }
}

impl Effect {
    fn value(&self) -> Code {
        match self {
            Effect::Store { value, .. } | Effect::Group { value, .. } | Effect::GroupCount { value } => {
                *value
            }
        }
    }

    fn value_mut(&mut self) -> &mut Code {
        match self {
            Effect::Store { value, .. } | Effect::Group { value, .. } | Effect::GroupCount { value } => value,
        }
    }

    fn is_group(&self) -> bool {
        !matches!(self, Effect::Store { .. })
    }
}

impl KernelStep {
    /// Of values in this list, of which it takes along those that it needs.
    pub(super) fn new(mut effects: Vec<Effect>, mut mask: Option<Code>, all: &[Operation]) -> KernelStep {
        let mut needed = vec![false; all.len()];
        effects.iter().map(Effect::value).chain(mask).for_each(|code| needed[code] = true);
        for (k, operation) in all.iter().enumerate().rev() {
            if let (true, Operation::Op(_, _, inputs)) = (needed[k], operation) {
                inputs.iter().for_each(|&i| needed[i] = true);
            }
        }
        let (mut code, mut inputs, mut place) = (vec![], vec![], vec![0; all.len()]);
        for (k, operation) in all.iter().enumerate().filter(|(k, _)| needed[*k]) {
            place[k] = code.len();
            code.push(match operation {
                Operation::Op(op, d, of) => Operation::Op(*op, *d, of.iter().map(|&i| place[i]).collect()),
                other => other.clone(),
            });
            if let Operation::Load(register, d) = operation {
                inputs.push((*register, *d));
            }
        }
        effects.iter_mut().map(Effect::value_mut).chain(&mut mask).for_each(|value| *value = place[*value]);
        KernelStep { inputs, code, effects, mask, variants: Mutex::default() }
    }

    /// The kernel for batches in which these inputs have nulls.
    ///
    /// # Errors
    /// A defect of this library.
    pub fn variant(&self, nulls: &[bool]) -> Result<Arc<Variant>> {
        let mut variants = self.variants.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(known) = variants.get(nulls) {
            return Ok(known.clone());
        }
        let made = Arc::new(self.build(nulls)?);
        variants.insert(nulls.to_vec(), made.clone());
        Ok(made)
    }

    fn build(&self, nulls: &[bool]) -> Result<Variant> {
        let mut b = Builder::new(1);
        let map = || IndexMap::identity(1);
        let values: Vec<u32> = self.inputs.iter().map(|(_, d)| b.input(*d, map())).collect();
        let valid: Vec<Option<u32>> = nulls.iter().map(|&n| n.then(|| b.input(DType::Bool, map()))).collect();
        let slot = self.effects.iter().any(Effect::is_group).then(|| b.input(DType::U32, map()));
        let mut columns = HashMap::new();
        for (k, (register, _)) in self.inputs.iter().enumerate() {
            columns.insert(*register, (b.load(values[k]), valid[k].map(|v| b.load(v))));
        }
        let mut lower = Lower { b, code: &self.code, values: vec![] };
        for operation in &self.code {
            let value = lower.value(operation, &columns);
            lower.values.push(value);
        }
        let mask = self.mask.map(|m| lower.truth(m));
        let slot = slot.map(|s| lower.b.load(s));
        let mut nullable = vec![];
        for effect in &self.effects {
            let (value, valid) = lower.values[effect.value()];
            let counted = lower.both(mask, valid);
            match (effect, slot) {
                (Effect::Store { .. }, _) => {
                    lower.b.store(value);
                    if let Some(v) = valid {
                        lower.b.store(v);
                    }
                    nullable.push(valid.is_some());
                }
                (Effect::Group { op, .. }, Some(slot)) => lower.b.group_reduce(*op, value, slot, counted),
                (Effect::GroupCount { .. }, Some(slot)) => {
                    let one = lower.b.constant(Scalar::from(1i64));
                    lower.b.group_reduce(ReduceOp::Sum, one, slot, counted);
                }
                _ => return Err(Error::internal("a fold by group without slots")),
            }
        }
        Ok(Variant { kernel: lower.b.finish()?, nullable })
    }
}

/// Lowers values into a kernel: every value with its validity, none if it is never null.
struct Lower<'a> {
    b: Builder,
    code: &'a [Operation],
    values: Vec<Nullable>,
}

type Nullable = (Value, Option<Value>);

impl Lower<'_> {
    fn both(&mut self, a: Option<Value>, b: Option<Value>) -> Option<Value> {
        match (a, b) {
            (Some(a), Some(b)) => Some(self.b.binary(BinaryOp::And, a, b)),
            (one, None) | (None, one) => one,
        }
    }

    fn not(&mut self, x: Value) -> Value {
        self.b.unary(UnaryOp::Not, x)
    }

    fn bool(&mut self, x: bool) -> Value {
        self.b.constant(x.into())
    }

    /// True where the value is true and not null.
    fn truth(&mut self, code: Code) -> Value {
        let (value, valid) = self.values[code];
        self.both(Some(value), valid).unwrap_or(value)
    }

    fn value(&mut self, operation: &Operation, columns: &HashMap<Register, Nullable>) -> Nullable {
        let (op, dtype, inputs) = match operation {
            Operation::Load(register, _) => return columns[register],
            Operation::Literal(Some(s), d) => return (self.b.constant(s.cast(*d)), None),
            Operation::Literal(None, d) => {
                return (self.b.constant(Scalar::zero(*d)), Some(self.bool(false)));
            }
            Operation::Op(op, dtype, inputs) => (*op, *dtype, inputs),
        };
        let x: Vec<Nullable> = inputs.iter().map(|&i| self.values[i]).collect();
        match op {
            KernelOp::Unary(op) => (self.b.unary(op, x[0].0), x[0].1),
            KernelOp::Cast => (self.b.cast(dtype, x[0].0), x[0].1),
            KernelOp::Compare(op) => (self.b.compare(op, x[0].0, x[1].0), self.both(x[0].1, x[1].1)),
            KernelOp::Binary(op) => {
                let value = self.b.binary(op, x[0].0, x[1].0);
                let mut valid = self.both(x[0].1, x[1].1);
                if matches!(op, BinaryOp::FloorDiv | BinaryOp::Rem) && dtype.is_integer() {
                    let zero = self.b.constant(Scalar::zero(dtype));
                    let defined = self.b.compare(CompareOp::Ne, x[1].0, zero);
                    // a divisor that is known needs no test
                    if !matches!(self.code[inputs[1]], Operation::Literal(Some(s), _) if s.bits() != 0) {
                        valid = self.both(valid, Some(defined));
                    }
                }
                (value, valid)
            }
            KernelOp::And => self.three_valued(BinaryOp::And, x[0], x[1]),
            KernelOp::Or => self.three_valued(BinaryOp::Or, x[0], x[1]),
            KernelOp::IsNull => match x[0].1 {
                Some(valid) => (self.not(valid), None),
                None => (self.bool(false), None),
            },
            KernelOp::FillNull => match x[0].1 {
                None => x[0],
                Some(valid) => {
                    let value = self.b.select(valid, x[0].0, x[1].0);
                    let either = x[1].1.map(|other| self.b.binary(BinaryOp::Or, valid, other));
                    (value, either)
                }
            },
            KernelOp::When => {
                let c = self.both(Some(x[0].0), x[0].1).unwrap_or(x[0].0);
                let value = self.b.select(c, x[1].0, x[2].0);
                let valid = match (x[1].1, x[2].1) {
                    (None, None) => None,
                    (a, b) => {
                        let yes = self.bool(true);
                        Some(self.b.select(c, a.unwrap_or(yes), b.unwrap_or(yes)))
                    }
                };
                (value, valid)
            }
        }
    }

    /// `and` and `or` of SQL: the value that decides alone (false, true) wins over null.
    fn three_valued(&mut self, op: BinaryOp, a: Nullable, b: Nullable) -> Nullable {
        if a.1.is_none() && b.1.is_none() {
            return (self.b.binary(op, a.0, b.0), None);
        }
        // a null operand counts as the value that leaves the decision to the other
        let neutral = |s: &mut Lower, x: Nullable| match (x.1, op) {
            (None, _) => x.0,
            (Some(valid), BinaryOp::And) => {
                let null = s.not(valid);
                s.b.binary(BinaryOp::Or, x.0, null)
            }
            (Some(valid), _) => s.b.binary(BinaryOp::And, x.0, valid),
        };
        let (p, q) = (neutral(self, a), neutral(self, b));
        let value = self.b.binary(op, p, q);
        // known where both are, or where one that is not null decides
        let decides = |s: &mut Lower, x: Nullable| {
            let decided = if op == BinaryOp::And { s.not(x.0) } else { x.0 };
            s.both(Some(decided), x.1).unwrap_or(decided)
        };
        let (da, db) = (decides(self, a), decides(self, b));
        let either = self.b.binary(BinaryOp::Or, da, db);
        let valid = match self.both(a.1, b.1) {
            Some(known) => self.b.binary(BinaryOp::Or, known, either),
            None => return (value, None),
        };
        (value, Some(valid))
    }
}

/// Gathers expressions into a program; what is equal is computed once.
pub(super) struct Compiler {
    steps: Vec<Step>,
    registers: usize,
    /// Values of kernels.
    code: Vec<Operation>,
    codes: HashMap<Operation, Code>,
    /// Registers by what is in them.
    held: HashMap<Held, Found<Register>>,
    /// What expressions are, with the expressions: an address is that of another one when they are gone.
    known: HashMap<*const Typed, (Arc<Typed>, Known)>,
    /// Kernel values to be stored, by the number of their kernel.
    stores: Vec<Vec<Effect>>,
    hosts: Vec<Vec<Step>>,
}

/// Something, and the number of the kernel after which a register is there, or of the first that can compute a value.
type Found<T> = (T, usize);

/// What a register holds.
#[derive(PartialEq, Eq, Hash)]
enum Held {
    Value(Code),
    Literal(String, DataType),
    /// A function by its name of columns.
    Result(String, DataType, Vec<Register>),
}

/// What an expression is.
#[derive(Clone, Copy)]
enum Known {
    Register(Found<Register>),
    Code(Found<Code>),
    /// A value, for which a register is made if it is wanted.
    Literal,
}

impl Compiler {
    /// For batches of this many columns.
    pub fn new(columns: usize) -> Compiler {
        Compiler {
            steps: vec![],
            registers: columns,
            code: vec![],
            codes: HashMap::new(),
            held: HashMap::new(),
            known: HashMap::new(),
            stores: vec![],
            hosts: vec![],
        }
    }

    fn fresh(&mut self) -> Register {
        self.registers += 1;
        self.registers - 1
    }

    /// The number of a value.
    fn number(&mut self, operation: Operation) -> Code {
        let Compiler { code, codes, .. } = self;
        *codes.entry(operation).or_insert_with_key(|operation| {
            code.push(operation.clone());
            code.len() - 1
        })
    }

    /// The value as f64.
    pub fn as_f64(&mut self, value: Code) -> Code {
        match self.code[value].dtype() {
            DType::F64 => value,
            _ => self.number(Operation::Op(KernelOp::Cast, DType::F64, vec![value])),
        }
    }

    /// What an expression is, whose parts are known.
    fn add(&mut self, e: &Arc<Typed>) -> Known {
        match &e.op {
            TypedOp::Column(c) => Known::Register((*c, 0)),
            TypedOp::Literal(_) => Known::Literal,
            TypedOp::Kernel(op) => {
                let inputs: Vec<Found<Code>> = e.inputs.iter().map(|i| self.code(i)).collect();
                let stage = inputs.iter().map(|i| i.1).max().unwrap_or(0);
                let inputs = inputs.into_iter().map(|i| i.0).collect();
                // resolving gives kernels nothing that they do not know
                let dtype = kernel_dtype(&e.data_type).unwrap_or(DType::Bool);
                Known::Code((self.number(Operation::Op(*op, dtype, inputs)), stage))
            }
            op => {
                let inputs: Vec<Found<Register>> = e.inputs.iter().map(|i| self.register(i)).collect();
                let stage = inputs.iter().map(|i| i.1).max().unwrap_or(0);
                let inputs: Vec<Register> = inputs.into_iter().map(|i| i.0).collect();
                let key = Held::Result(format!("{op:?}"), e.data_type.clone(), inputs.clone());
                if let Some(&known) = self.held.get(&key) {
                    return Known::Register(known);
                }
                let output = self.fresh();
                let host = Step::Host { op: op.clone(), data_type: e.data_type.clone(), inputs, output };
                at(&mut self.hosts, stage).push(host);
                // kernels that need it run after
                self.held.insert(key, (output, stage + 1));
                Known::Register((output, stage + 1))
            }
        }
    }

    /// What an expression is, and all that it is made of.
    fn known(&mut self, e: &Arc<Typed>) -> Known {
        if let Some((_, known)) = self.known.get(&Arc::as_ptr(e)) {
            return *known;
        }
        let mut last = Known::Literal;
        for part in Typed::all_parts([e]) {
            last = match self.known.get(&Arc::as_ptr(part)) {
                Some((_, known)) => *known,
                None => self.add(part),
            };
            self.known.insert(Arc::as_ptr(part), (part.clone(), last));
        }
        last
    }

    /// The register of a value, and the number of the kernel after which it is there.
    pub fn register(&mut self, e: &Arc<Typed>) -> Found<Register> {
        let (key, stage) = match (self.known(e), &e.op) {
            (Known::Register(found), _) => return found,
            (Known::Code((code, stage)), _) => (Held::Value(code), stage),
            (Known::Literal, op) => (Held::Literal(format!("{op:?}"), e.data_type.clone()), 0),
        };
        if let Some(&known) = self.held.get(&key) {
            return known;
        }
        let (output, data_type) = (self.fresh(), e.data_type.clone());
        match (&key, &e.op) {
            (Held::Value(value), _) => {
                at(&mut self.stores, stage).push(Effect::Store { value: *value, output, data_type });
            }
            (_, TypedOp::Literal(v)) => self.steps.push(Step::Literal(v.clone(), data_type, output)),
            _ => {}
        }
        self.held.insert(key, (output, stage));
        (output, stage)
    }

    /// The value as a kernel computes it, and the number of the first kernel that can.
    pub fn code(&mut self, e: &Arc<Typed>) -> Found<Code> {
        let dtype = kernel_dtype(&e.data_type);
        let (operation, stage) = match (self.known(e), &e.op, dtype) {
            (Known::Code(found), _, _) => return found,
            (Known::Register((register, stage)), _, Some(dtype)) => (Operation::Load(register, dtype), stage),
            (_, TypedOp::Literal(Literal::Number(s)), Some(dtype)) => {
                (Operation::Literal(Some(*s), dtype), 0)
            }
            (_, TypedOp::Literal(Literal::Typed(_, v)), Some(dtype)) => {
                (Operation::Literal(Some(Scalar::from(*v).cast(dtype)), dtype), 0)
            }
            // resolving gives kernels nothing that they do not know
            (_, _, dtype) => (Operation::Literal(None, dtype.unwrap_or(DType::Bool)), 0),
        };
        (self.number(operation), stage)
    }

    /// The steps so far, in order, the number of registers, and all values of kernels.
    pub fn finish(self) -> (Vec<Step>, usize, Vec<Operation>) {
        let mut steps = self.steps;
        let stages = self.stores.len().max(self.hosts.len());
        let (mut stores, mut hosts) = (self.stores.into_iter(), self.hosts.into_iter());
        for _ in 0..stages {
            if let Some(effects) = stores.next().filter(|e| !e.is_empty()) {
                steps.push(Step::Kernel(KernelStep::new(effects, None, &self.code)));
            }
            steps.extend(hosts.next().into_iter().flatten());
        }
        (steps, self.registers, self.code)
    }
}

fn at<T>(list: &mut Vec<Vec<T>>, k: usize) -> &mut Vec<T> {
    while list.len() <= k {
        list.push(vec![]);
    }
    &mut list[k]
}

impl Program {
    /// The program that computes expressions from batches of this many columns.
    pub fn new(columns: usize, expressions: &[Arc<Typed>]) -> Program {
        let mut compiler = Compiler::new(columns);
        let outputs = expressions.iter().map(|e| (compiler.register(e).0, e.data_type.clone())).collect();
        let (steps, registers, _) = compiler.finish();
        Program { steps, outputs, registers }
    }

    /// Upper bound of the bytes of new columns per row, text counted as `text` bytes.
    pub fn row_bytes(&self, text: usize) -> usize {
        let width = |t: &DataType| kernel_dtype(t).map_or(text, |d| d.size() + 1);
        let of = |step: &Step| match step {
            Step::Literal(..) => 0,
            Step::Host { data_type, .. } => width(data_type),
            Step::Kernel(k) => {
                let inputs: usize = k.inputs.len();
                let stored = k.effects.iter().map(|e| match e {
                    Effect::Store { data_type, .. } => width(data_type),
                    _ => 0,
                });
                stored.sum::<usize>() + inputs
            }
        };
        self.steps.iter().map(of).sum()
    }
}

impl KernelStep {
    /// Dtype of an effect's value.
    pub fn value_dtype(&self, effect: usize) -> DType {
        self.code[self.effects[effect].value()].dtype()
    }
}
