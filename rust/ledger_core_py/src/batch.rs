use std::sync::RwLock;

use ledger_core::{Cutoff, batch};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::keys::Keys;
use crate::ledger::Ledger;
use crate::{read, write};

#[pyclass(frozen, module = "postbox._core")]
pub struct Batch {
    inner: RwLock<batch::Batch>,
}

type Accepted<'py> = (
    usize,
    Bound<'py, PyBytes>,
    i64,
    u8,
    u8,
    String,
    String,
    Bound<'py, PyBytes>,
    Option<u64>,
);

#[pymethods]
impl Batch {
    #[staticmethod]
    #[pyo3(signature = (raws, now_ns, cutoffs=Vec::new()))]
    fn decode(
        py: Python<'_>,
        raws: Vec<PyBackedBytes>,
        now_ns: i64,
        cutoffs: Vec<(String, i64)>,
    ) -> Batch {
        let cutoffs: Vec<Cutoff> = cutoffs
            .into_iter()
            .map(|(subject, until)| Cutoff {
                subject: subject.into(),
                until,
            })
            .collect();
        let decode = || batch::Batch::decode(raws.iter().map(|raw| &**raw), now_ns, &cutoffs);
        Batch {
            inner: RwLock::new(py.detach(decode)),
        }
    }

    fn __len__(&self) -> usize {
        read(&self.inner).len()
    }

    #[getter]
    fn verdicts<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let codes: Vec<u8> = read(&self.inner)
            .verdicts()
            .map(|verdict| verdict as u8)
            .collect();
        PyBytes::new(py, &codes)
    }

    #[getter]
    fn standings<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let inner = read(&self.inner);
        let codes: Vec<u8> = inner
            .standings()
            .map(|s| s.map_or(255, |s| s as u8))
            .collect();
        PyBytes::new(py, &codes)
    }

    fn claimed_digest<'py>(
        &self,
        py: Python<'py>,
        sender: &str,
        ts: i64,
    ) -> Option<Bound<'py, PyBytes>> {
        let digest = py.detach(|| read(&self.inner).claimed_digest(sender, ts));
        digest.map(|digest| PyBytes::new(py, &digest))
    }

    fn span(&self) -> Option<(i64, i64)> {
        read(&self.inner).span()
    }

    fn sift(&self, py: Python<'_>, ledger: &Ledger) {
        py.detach(|| write(&self.inner).sift(&read(&ledger.inner)));
    }

    fn verify(&self, py: Python<'_>, keys: &Keys) {
        py.detach(|| write(&self.inner).verify(&keys.snapshot()));
    }

    fn accepted<'py>(&self, py: Python<'py>) -> Vec<Accepted<'py>> {
        let inner = read(&self.inner);
        let row = |one: batch::Accepted<'_>| {
            (
                one.index,
                PyBytes::new(py, &one.event.id),
                one.event.ts,
                one.event.service as u8,
                one.standing as u8,
                one.event.author().to_owned(),
                one.signer.to_owned(),
                PyBytes::new(py, &one.event.raw),
                one.over,
            )
        };
        inner.accepted().map(row).collect()
    }

    fn introductions<'py>(
        &self,
        py: Python<'py>,
        keys: &Keys,
    ) -> Vec<(String, Bound<'py, PyBytes>)> {
        let claims: Vec<(String, _)> = py.detach(|| {
            let (inner, known) = (read(&self.inner), keys.snapshot());
            let claims = inner.introductions(&known).into_iter();
            claims.map(|(name, key)| (name.to_owned(), key)).collect()
        });
        claims
            .into_iter()
            .map(|(name, key)| (name, PyBytes::new(py, &key)))
            .collect()
    }
}
