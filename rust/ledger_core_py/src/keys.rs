use std::sync::{Arc, RwLock};

use ledger_core::verify;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::{read, write};

#[pyclass(frozen, module = "postbox._core")]
pub struct Keys {
    /// Whoever verifies takes a snapshot: a key that arrives meanwhile waits for nobody.
    inner: RwLock<Arc<verify::Keys>>,
}

pub fn key(bytes: &[u8]) -> PyResult<verify::Key> {
    let wrong = |_| PyValueError::new_err(format!("a key is 32 bytes, not {}", bytes.len()));
    bytes.try_into().map_err(wrong)
}

impl Keys {
    pub fn snapshot(&self) -> Arc<verify::Keys> {
        read(&self.inner).clone()
    }
}

#[pymethods]
impl Keys {
    #[new]
    fn new() -> Keys {
        Keys {
            inner: RwLock::default(),
        }
    }

    fn put(&self, name: &str, keys: Vec<PyBackedBytes>, id: Option<&str>) -> PyResult<()> {
        if keys.is_empty() {
            return Err(PyValueError::new_err(format!("no key given for {name:?}")));
        }
        let keys = keys
            .iter()
            .map(|bytes| key(bytes))
            .collect::<PyResult<_>>()?;
        Arc::make_mut(&mut write(&self.inner)).put(name, keys, id);
        Ok(())
    }

    fn keys_of<'py>(&self, py: Python<'py>, name: &str) -> Vec<Bound<'py, PyBytes>> {
        let inner = read(&self.inner);
        inner
            .keys_of(name)
            .iter()
            .map(|key| PyBytes::new(py, key))
            .collect()
    }

    fn name_of(&self, id: &str) -> Option<String> {
        read(&self.inner).name_of(id).map(str::to_owned)
    }

    fn __len__(&self) -> usize {
        read(&self.inner).len()
    }
}
