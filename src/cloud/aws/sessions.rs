//! Sessions of Session Manager, a part of Systems Manager.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use serde_json::json;

use super::AwsCloud;
use super::call::{Access, Bucket, call};
use crate::cloud::{ManagedSession, Result, SessionManager, SessionRequest, absent};
use crate::domain::{CloudError, ErrorClass, FleetName, InstanceId};

#[async_trait]
impl SessionManager for AwsCloud {
    async fn start_session(
        &self,
        fleet: &FleetName,
        instance: &InstanceId,
        request: SessionRequest,
    ) -> Result<ManagedSession> {
        const OPERATION: &str = "StartSession";
        let (document, parameters) = (request.document(fleet), request.parameters());
        let endpoint = ReadEndpoint::default();
        let mut request = self.ssm.start_session().target(instance.as_str()).document_name(&document);
        for (name, values) in &parameters {
            request = request.parameters(*name, values.clone());
        }
        let request = request.customize().interceptor(endpoint.clone());
        let started =
            call(&self.limits, Bucket::Other, Access::Write, OPERATION, request.send()).await?.value;
        let (Some(id), Some(stream_url), Some(token)) =
            (started.session_id, started.stream_url, started.token_value)
        else {
            let message = "the response has no session";
            return Err(CloudError::new(ErrorClass::Unknown, OPERATION, "BadResponse", message));
        };
        Ok(ManagedSession {
            id,
            stream_url,
            token,
            region: self.region.clone(),
            profile: self.profile.clone(),
            endpoint: endpoint.0.get().cloned().unwrap_or_default(),
            request: json!({
                "Target": instance.as_str(),
                "DocumentName": document,
                "Parameters": parameters,
            }),
        })
    }

    async fn terminate_session(&self, id: &str) -> Result<()> {
        let request = self.ssm.terminate_session().session_id(id).send();
        let ended = call(&self.limits, Bucket::Other, Access::Write, "TerminateSession", request).await;
        absent(ended).map(|_| ())
    }
}

/// Stores the URL of the endpoint to which a request is sent, because the plugin sends its own requests to the same.
#[derive(Debug, Clone, Default)]
struct ReadEndpoint(Arc<OnceLock<String>>);

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for ReadEndpoint {
    fn name(&self) -> &'static str {
        "ReadEndpoint"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        // A retry has the same.
        let _ = self.0.set(context.request().uri().trim_end_matches('/').to_owned());
        Ok(())
    }
}
