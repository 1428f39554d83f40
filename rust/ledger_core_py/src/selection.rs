use ledger_core::ledger;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

#[pyclass(frozen, module = "postbox._core")]
pub struct Selection {
    pub inner: ledger::Selection,
}

#[pymethods]
impl Selection {
    fn __len__(&self) -> usize {
        self.inner.events.len()
    }

    #[getter]
    fn next_cursor(&self) -> Option<String> {
        self.inner.next_cursor.map(|cursor| cursor.to_string())
    }

    #[getter]
    fn examined(&self) -> usize {
        self.inner.examined
    }

    fn ids<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.inner
            .events
            .iter()
            .map(|event| PyBytes::new(py, &event.id))
            .collect()
    }

    fn bodies<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.inner
            .events
            .iter()
            .map(|event| PyBytes::new(py, &event.raw))
            .collect()
    }

    fn standings<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let codes: Vec<u8> = self
            .inner
            .events
            .iter()
            .map(|event| event.standing as u8)
            .collect();
        PyBytes::new(py, &codes)
    }

    fn votes(&self) -> Vec<usize> {
        self.inner.events.iter().map(|event| event.votes).collect()
    }

    fn digest<'py>(&self, py: Python<'py>, sender: &str, ts: i64) -> Bound<'py, PyBytes> {
        let digest = py.detach(|| self.inner.digest(sender, ts));
        PyBytes::new(py, &digest)
    }

    fn encode<'py>(
        &self,
        py: Python<'py>,
        sender: &str,
        ts: i64,
        signature: &str,
    ) -> Bound<'py, PyBytes> {
        let body = py.detach(|| self.inner.encode(sender, ts, signature));
        PyBytes::new(py, &body)
    }

    fn encode_msgpack<'py>(
        &self,
        py: Python<'py>,
        sender: &str,
        ts: i64,
        signature: &str,
    ) -> Bound<'py, PyBytes> {
        let body = py.detach(|| self.inner.encode_msgpack(sender, ts, signature));
        PyBytes::new(py, &body)
    }
}
