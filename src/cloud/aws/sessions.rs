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
use crate::cloud::{ForwardingSession, PortForwarding, Ports, Result, absent};
use crate::domain::{CloudError, ErrorClass, InstanceId};

/// AWS's session document for port forwards.
/// <https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-specify-session-document.html>
const DOCUMENT: &str = "AWS-StartPortForwardingSession";

#[async_trait]
impl PortForwarding for AwsCloud {
    async fn start_session(&self, instance: &InstanceId, ports: Ports) -> Result<ForwardingSession> {
        const OPERATION: &str = "StartSession";
        let (remote, local) = (vec![ports.remote.to_string()], vec![ports.local.to_string()]);
        let endpoint = ReadEndpoint::default();
        let request = self
            .ssm
            .start_session()
            .target(instance.as_str())
            .document_name(DOCUMENT)
            .parameters("portNumber", remote.clone())
            .parameters("localPortNumber", local.clone())
            .customize()
            .interceptor(endpoint.clone());
        let started =
            call(&self.limits, Bucket::Other, Access::Write, OPERATION, request.send()).await?.value;
        let (Some(id), Some(stream_url), Some(token)) =
            (started.session_id, started.stream_url, started.token_value)
        else {
            let message = "the response has no session";
            return Err(CloudError::new(ErrorClass::Unknown, OPERATION, "BadResponse", message));
        };
        Ok(ForwardingSession {
            id,
            stream_url,
            token,
            region: self.region.clone(),
            profile: self.profile.clone(),
            endpoint: endpoint.0.get().cloned().unwrap_or_default(),
            request: json!({
                "Target": instance.as_str(),
                "DocumentName": DOCUMENT,
                "Parameters": { "portNumber": remote, "localPortNumber": local },
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
