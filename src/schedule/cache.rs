//! Compiled kernels by code: one expression compiles once, however often and on whatever it runs.

use crate::backend::{Backend, Executable, Multiply, Running};
use crate::dtype::DType;
use crate::error::Result;
use crate::ir::Kernel;
use crate::op::ReduceOp;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// Kernels compiled by one backend. Keeps up to [`KernelCache::KEEP`]; when full it starts anew.
pub struct KernelCache {
    backend: Arc<dyn Backend>,
    known: Mutex<HashMap<Kernel, Arc<dyn Executable>>>,
    products: Mutex<HashMap<DType, Arc<dyn Multiply>>>,
    running: Mutex<HashMap<(ReduceOp, DType), Option<Arc<dyn Running>>>>,
    compiled: AtomicU64,
}

impl KernelCache {
    /// Most kernels kept.
    pub const KEEP: usize = 4096;

    /// An empty cache.
    pub fn new(backend: Arc<dyn Backend>) -> KernelCache {
        KernelCache {
            backend,
            known: Mutex::default(),
            products: Mutex::default(),
            running: Mutex::default(),
            compiled: AtomicU64::new(0),
        }
    }

    /// The backend that compiles.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// The compiled kernel.
    ///
    /// # Errors
    /// Those of [`Backend::compile`].
    pub fn get(&self, kernel: &Kernel) -> Result<Arc<dyn Executable>> {
        let key = kernel.code_key();
        if let Some(known) = self.lock().get(&key) {
            return Ok(known.clone());
        }
        let executable = self.backend.compile(kernel)?;
        self.compiled.fetch_add(1, Relaxed);
        let mut known = self.lock();
        if known.len() >= KernelCache::KEEP {
            known.clear();
        }
        known.insert(key, executable.clone());
        Ok(executable)
    }

    /// The compiled product of matrices of a dtype.
    ///
    /// # Errors
    /// Those of [`Backend::product`].
    pub fn product(&self, dtype: DType) -> Result<Arc<dyn Multiply>> {
        let mut products = self.products.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(known) = products.get(&dtype) {
            return Ok(known.clone());
        }
        let product = self.backend.product(dtype)?;
        products.insert(dtype, product.clone());
        Ok(product)
    }

    /// The compiled running fold of elements in room.
    ///
    /// # Errors
    /// Those of [`Backend::running`].
    pub fn running(&self, op: ReduceOp, dtype: DType) -> Result<Option<Arc<dyn Running>>> {
        let mut running = self.running.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(known) = running.get(&(op, dtype)) {
            return Ok(known.clone());
        }
        let made = self.backend.running(op, dtype)?;
        running.insert((op, dtype), made.clone());
        Ok(made)
    }

    /// How many kernels were compiled so far.
    pub fn compiled(&self) -> u64 {
        self.compiled.load(Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Kernel, Arc<dyn Executable>>> {
        self.known.lock().unwrap_or_else(|e| e.into_inner())
    }
}
