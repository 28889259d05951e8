//! Rejects truncated XML responses. The SDK's reader treats end of input as the end of every open element, so a cut `Describe*` response
//! parses as a shorter list, and the engine would treat the missing items as deleted.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, InterceptorContext,
};
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

/// Rejects XML without the end tag of its root, and retries the call. `Content-Length` detects truncation only if the service sends it.
/// Other successful responses that cannot be parsed are retried too.
#[derive(Debug, Clone, Copy)]
pub(super) struct RejectTruncated;

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for RejectTruncated {
    fn name(&self) -> &'static str {
        "RejectTruncated"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        // Errors are classified by their status.
        let is_truncated =
            response.status().is_success() && response.body().bytes().is_some_and(|body| !is_complete(body));
        if is_truncated { Err("the response is truncated".into()) } else { Ok(()) }
    }
}

impl ClassifyRetry for RejectTruncated {
    fn name(&self) -> &'static str {
        "RejectTruncated"
    }

    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let succeeded = context.response().is_some_and(|response| response.status().is_success());
        let is_unparsed = context.output_or_error().is_some_and(|result| result.is_err());
        if succeeded && is_unparsed { RetryAction::transient_error() } else { RetryAction::NoActionIndicated }
    }
}

/// Whether a document ends with the end tag of its root.
fn is_complete(body: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(body) else { return false };
    let mut rest = text.trim();
    while let Some(inner) = rest.strip_prefix("<?").or_else(|| rest.strip_prefix("<!")) {
        let Some((_, after)) = inner.split_once('>') else { return false };
        rest = after.trim_start();
    }
    let Some(root) = rest.strip_prefix('<') else { return rest.is_empty() };
    let Some((start, inner)) = root.split_once('>') else { return false };
    let name = start.split([' ', '\t', '\r', '\n', '/']).next().unwrap_or_default();
    if start.ends_with('/') {
        return inner.is_empty();
    }
    let end = inner.strip_suffix('>').map(str::trim_end).and_then(|inner| inner.strip_suffix(name));
    end.is_some_and(|inner| inner.ends_with("</"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- a remark -->\n\
        <R xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><set><item>1</item><item>2</item></set></R>\n";

    #[test]
    fn document_is_complete_only_at_its_end() {
        let end = WHOLE.trim_end().len();
        for length in 1..end {
            let cut = &WHOLE[..length];
            // A prologue without a root counts as an empty body, which the SDK's reader rejects.
            let is_prologue = cut.ends_with("?>") || cut.ends_with("?>\n") || cut.ends_with("-->");
            assert_eq!(is_complete(cut.as_bytes()), is_prologue || cut.ends_with("-->\n"), "{cut}");
        }
        assert!(is_complete(WHOLE.as_bytes()) && is_complete(&WHOLE.as_bytes()[..end]));
    }

    #[test]
    fn empty_documents_are_complete() {
        for whole in ["", "<R/>", "<R a=\"b\" />", "<R></R>", "<R></R >"] {
            assert!(is_complete(whole.as_bytes()), "{whole}");
        }
        for cut in ["<R", "<R>", "<R><R", "<R></R", "<R/><", "<RR></R>", "text", "<?xml"] {
            assert!(!is_complete(cut.as_bytes()), "{cut}");
        }
        assert!(!is_complete(b"<R>\xff</R>"));
    }
}
