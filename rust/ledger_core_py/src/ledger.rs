use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use ledger_core::event::Service;
use ledger_core::ledger::{
    self, Added, Cursor, Filter, Lately, Legacy, Role, SampleRequest, Words,
};
use ledger_core::verify::Standing;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::keys::Keys;
use crate::selection::Selection;
use crate::{read, write};

#[pyclass(frozen, module = "postbox._core")]
pub struct Ledger {
    pub inner: RwLock<ledger::Ledger>,
}

fn sixteen(bytes: &[u8], what: &str) -> PyResult<[u8; 16]> {
    let wrong = |_| PyValueError::new_err(format!("{what} is 16 bytes, not {}", bytes.len()));
    bytes.try_into().map_err(wrong)
}

fn standing(code: u8) -> PyResult<Standing> {
    let wrong = || PyValueError::new_err(format!("{code} is no standing (0, 1 or 2)"));
    Standing::from_code(code).ok_or_else(wrong)
}

fn role(word: &str) -> PyResult<Option<Role>> {
    match word {
        "by" => Ok(Some(Role::By)),
        "about" => Ok(Some(Role::About)),
        "any" => Ok(None),
        _ => Err(PyValueError::new_err(format!(
            "{word:?} is no role: by, about or any"
        ))),
    }
}

fn bodies<'py>(py: Python<'py>, events: Vec<(u64, Arc<[u8]>)>) -> Vec<(u64, Bound<'py, PyBytes>)> {
    events
        .into_iter()
        .map(|(pos, body)| (pos, PyBytes::new(py, &body)))
        .collect()
}

#[pymethods]
impl Ledger {
    #[new]
    fn new(capacity: usize, hash_key: &[u8]) -> PyResult<Ledger> {
        if capacity == 0 {
            return Err(PyValueError::new_err("a ledger keeps at least one event"));
        }
        let hash_key = sixteen(hash_key, "hash_key")?;
        Ok(Ledger {
            inner: RwLock::new(ledger::Ledger::new(capacity, hash_key)),
        })
    }

    fn __len__(&self) -> usize {
        read(&self.inner).len()
    }

    #[getter]
    fn capacity(&self) -> usize {
        read(&self.inner).capacity()
    }

    fn __contains__(&self, id: &[u8]) -> bool {
        id.try_into().is_ok_and(|id| read(&self.inner).contains(id))
    }

    fn apply(
        &self,
        py: Python<'_>,
        removed: Vec<u64>,
        added: Vec<(u64, PyBackedBytes, u8)>,
    ) -> PyResult<Vec<u64>> {
        let added: Vec<Added<'_>> = added
            .iter()
            .map(|(pos, body, code)| {
                Ok(Added {
                    pos: *pos,
                    body,
                    standing: standing(*code)?,
                })
            })
            .collect::<PyResult<_>>()?;
        py.detach(|| write(&self.inner).apply(&removed, &added))
            .map_err(|error| PyValueError::new_err(error.to_string()))
    }

    fn learn(&self, py: Python<'_>, names: Vec<String>) {
        py.detach(|| write(&self.inner).learn(names.iter().map(String::as_str)));
    }

    fn count_votes_of(&self, py: Python<'_>, keys: &Keys) {
        py.detach(|| write(&self.inner).count_votes_of(keys.snapshot().voters()));
    }

    fn unproven<'py>(
        &self,
        py: Python<'py>,
        names: Vec<String>,
        ids: Vec<String>,
    ) -> Vec<(u64, Bound<'py, PyBytes>)> {
        let (names, ids) = (names.iter(), ids.iter());
        let found = read(&self.inner).unproven(names.map(String::as_str), ids.map(String::as_str));
        bodies(py, found)
    }

    fn attested_by<'py>(
        &self,
        py: Python<'py>,
        signers: Vec<String>,
    ) -> Vec<(u64, Bound<'py, PyBytes>)> {
        bodies(
            py,
            read(&self.inner).attested_by(signers.iter().map(String::as_str)),
        )
    }

    fn all_unproven<'py>(&self, py: Python<'py>) -> Vec<(u64, Bound<'py, PyBytes>)> {
        bodies(py, read(&self.inner).all_unproven())
    }

    fn page(
        &self,
        py: Python<'_>,
        cursor: Option<&str>,
        size: Option<i64>,
        services: Vec<String>,
        subjects: Vec<String>,
    ) -> PyResult<Selection> {
        let cursor = cursor
            .filter(|text| !text.is_empty())
            .map(str::parse::<Cursor>)
            .transpose();
        let cursor = cursor.map_err(|error| PyValueError::new_err(error.to_string()))?;
        let filter = Filter::new(&services, &subjects);
        let inner = py.detach(|| read(&self.inner).page(cursor, size, &filter));
        Ok(Selection { inner })
    }

    fn recent(
        &self,
        py: Python<'_>,
        limit: Option<i64>,
        services: Vec<String>,
        subjects: Vec<String>,
    ) -> Selection {
        let filter = Filter::new(&services, &subjects);
        let inner = py.detach(|| read(&self.inner).recent(limit, &filter));
        Selection { inner }
    }

    #[allow(clippy::too_many_arguments)] // The request's own fields; Python names them.
    #[pyo3(signature = (size, services, subjects, *, seed, now_ns, responder, requester))]
    fn sample(
        &self,
        py: Python<'_>,
        size: Option<i64>,
        services: Vec<String>,
        subjects: Vec<String>,
        seed: &[u8],
        now_ns: i64,
        responder: &str,
        requester: &str,
    ) -> PyResult<Selection> {
        let seed = sixteen(seed, "seed")?;
        let filter = Filter::new(&services, &subjects);
        let request = SampleRequest {
            size,
            seed,
            now_ns,
            responder,
            requester,
        };
        let inner = py.detach(|| read(&self.inner).sample(&request, &filter));
        Ok(Selection { inner })
    }

    #[allow(clippy::too_many_arguments)] // As above.
    fn legacy(
        &self,
        py: Python<'_>,
        since_ns: i64,
        slice_index: i64,
        slice_total: i64,
        max_events: i64,
        services: Vec<String>,
        subjects: Vec<String>,
    ) -> Selection {
        let filter = Filter::new(&services, &subjects);
        let request = Legacy {
            since_ns,
            slice_index,
            slice_total,
            max_events,
        };
        let inner = py.detach(|| read(&self.inner).legacy(request, &filter));
        Selection { inner }
    }

    #[allow(clippy::too_many_arguments)] // As above.
    #[pyo3(signature = (name, role, services, *, least, upto_ns, most))]
    fn words(
        &self,
        py: Python<'_>,
        name: &str,
        role: &str,
        services: Vec<String>,
        least: u8,
        upto_ns: i64,
        most: usize,
    ) -> PyResult<Selection> {
        let services: Vec<Service> = services.iter().filter_map(|s| Service::named(s)).collect();
        let asked = Words {
            name,
            role: self::role(role)?,
            services: &services,
            least: standing(least)?,
            upto_ns,
            most,
        };
        let inner = py.detach(|| read(&self.inner).words(&asked));
        Ok(Selection { inner })
    }

    fn greetings(&self, py: Python<'_>, most: usize) -> Selection {
        let inner = py.detach(|| read(&self.inner).greetings(most));
        Selection { inner }
    }

    #[pyo3(signature = (*, since_ns, upto_ns, most, most_each, most_bytes))]
    fn lately(
        &self,
        py: Python<'_>,
        since_ns: i64,
        upto_ns: i64,
        most: usize,
        most_each: usize,
        most_bytes: usize,
    ) -> Selection {
        let asked = Lately {
            since_ns,
            upto_ns,
            most,
            most_each,
            most_bytes,
        };
        let inner = py.detach(|| read(&self.inner).lately(&asked));
        Selection { inner }
    }

    #[pyo3(signature = (names, *, now_ns, fresh_ns))]
    fn presences<'py>(
        &self,
        py: Python<'py>,
        names: Vec<String>,
        now_ns: i64,
        fresh_ns: i64,
    ) -> Bound<'py, PyBytes> {
        let codes: Vec<u8> = py.detach(|| {
            let inner = read(&self.inner);
            let presences = names
                .iter()
                .map(|name| inner.presence(name, now_ns, fresh_ns));
            presences.map(|presence| presence as u8).collect()
        });
        PyBytes::new(py, &codes)
    }

    fn names_in(&self, positions: Vec<u64>) -> Vec<String> {
        let inner = read(&self.inner);
        let names = inner.names_in(positions);
        names.into_iter().map(str::to_owned).collect()
    }

    fn digest<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let digest = py.detach(|| read(&self.inner).digest());
        PyBytes::new(py, &digest)
    }

    fn counts(&self) -> BTreeMap<&'static str, usize> {
        let inner = read(&self.inner);
        let standings = [
            ("hearsay", Standing::Hearsay),
            ("unproven", Standing::Unproven),
            ("attested", Standing::Attested),
        ];
        let services = Service::ALL.map(|service| (service.name(), inner.count_of(service)));
        let standings = standings.map(|(name, code)| (name, inner.count_standing(code)));
        services.into_iter().chain(standings).collect()
    }

    fn authors(&self) -> Vec<(String, u32)> {
        let inner = read(&self.inner);
        inner
            .authors()
            .into_iter()
            .map(|(name, count)| (name.to_owned(), count))
            .collect()
    }
}
