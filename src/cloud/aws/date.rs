//! AWS's time: the `Date` header of its responses.

use std::cell::Cell;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use chrono::{DateTime, Utc};

tokio::task_local! {
    /// The `Date` header of the last response to the current requests.
    static DATE: Cell<Option<DateTime<Utc>>>;
}

/// Stores the `Date` header of every response in [`DATE`].
#[derive(Debug)]
pub(super) struct ReadDate;

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for ReadDate {
    fn name(&self) -> &'static str {
        "ReadDate"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        if let Some(date) = date_of(context.response()) {
            // Fails outside of `with_date`, where the time is not needed.
            let _ = DATE.try_with(|cell| cell.set(Some(date)));
        }
        Ok(())
    }
}

/// Returns the time of a response.
pub(super) fn date_of(response: &HttpResponse) -> Option<DateTime<Utc>> {
    let date = DateTime::parse_from_rfc2822(response.headers().get("date")?).ok()?;
    Some(date.to_utc())
}

/// Awaits requests, and returns the time of the last response to them too.
pub(super) async fn with_date<T>(requests: impl Future<Output = T>) -> (T, Option<DateTime<Utc>>) {
    DATE.scope(Cell::new(None), async { (requests.await, DATE.with(Cell::get)) }).await
}
