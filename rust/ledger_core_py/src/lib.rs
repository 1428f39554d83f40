//! `postbox._core`: the ledger for Python. Converts, maps errors, lets go of the GIL; every rule is
//! in `ledger_core`, where it is tested without an interpreter.
#![allow(missing_docs)] // The docstrings are in `_core.pyi`, which stubtest holds to this module.

use pyo3::prelude::*;

mod batch;
mod keys;
mod ledger;
mod rebuild;
mod selection;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A panic while the lock was held is reported as one; the next caller still gets in.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[pymodule(gil_used = false)]
mod _core {
    use pyo3::exceptions::PyValueError;
    use pyo3::prelude::*;
    use pyo3::types::{PyBytes, PyTuple};

    #[pymodule_export]
    use super::batch::Batch;
    #[pymodule_export]
    use super::keys::Keys;
    #[pymodule_export]
    use super::ledger::Ledger;
    #[pymodule_export]
    use super::rebuild::Rebuild;
    #[pymodule_export]
    use super::selection::Selection;

    #[pyfunction]
    #[pyo3(signature = (data, /))]
    fn base58_encode(data: &[u8]) -> String {
        bs58::encode(data).into_string()
    }

    #[pyfunction]
    #[pyo3(signature = (text, /))]
    fn base58_decode<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = bs58::decode(text).into_vec();
        let bytes = bytes.map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(PyBytes::new(py, &bytes))
    }

    #[pyfunction]
    #[pyo3(signature = (key, /))]
    fn is_weak_key(key: &[u8]) -> PyResult<bool> {
        Ok(ledger_core::verify::is_weak_key(&super::keys::key(key)?))
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        let services = ledger_core::event::Service::ALL.map(|service| service.name());
        let profile = if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        };
        module.add("build_profile", profile)?;
        module.add(
            "verdict_names",
            PyTuple::new(py, ledger_core::verdict::NAMES)?,
        )?;
        module.add("service_names", PyTuple::new(py, services)?)
    }
}
