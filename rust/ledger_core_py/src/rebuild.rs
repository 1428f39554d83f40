use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;

use ledger_core::ledger::{self, Added};
use ledger_core::verify::Standing;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::ledger::Ledger;
use crate::write;

#[pyclass(frozen, module = "postbox._core")]
pub struct Rebuild {
    ledger: Py<Ledger>,
    /// None: finished.
    inner: Mutex<Option<ledger::Rebuild>>,
}

fn finished() -> PyErr {
    PyValueError::new_err("this rebuild is finished")
}

#[pymethods]
impl Rebuild {
    #[new]
    fn new(ledger: Py<Ledger>) -> Rebuild {
        let threads = available_parallelism().map_or(1, NonZero::get);
        let taken = write(&ledger.get().inner).take();
        Rebuild {
            ledger,
            inner: Mutex::new(Some(ledger::Rebuild::new(taken, threads))),
        }
    }

    fn add(&self, py: Python<'_>, added: Vec<(u64, PyBackedBytes, u8)>) -> PyResult<Vec<u64>> {
        // A standing that is none is damage like any other.
        let added: Vec<Added<'_>> = added
            .iter()
            .filter_map(|(pos, body, code)| {
                let standing = Standing::from_code(*code)?;
                Some(Added {
                    pos: *pos,
                    body,
                    standing,
                })
            })
            .collect();
        py.detach(|| {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.as_mut().map(|rebuild| rebuild.add(&added))
        })
        .ok_or_else(finished)
    }

    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            let rebuild = inner.take()?;
            *write(&self.ledger.get().inner) = rebuild.finish();
            Some(())
        })
        .ok_or_else(finished)
    }
}
