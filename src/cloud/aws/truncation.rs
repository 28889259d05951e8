//! Whether an answer is whole. What breaks off in the middle of a list still reads as a shorter list, and what is missing
//! from a list is taken for gone.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, InterceptorContext,
};
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

/// Refuses XML that ends before its root does. The length of the body catches that only where the service said it, and the
/// SDK's reader takes the end of the text for the end of every element. What was refused is asked for again, as is any other
/// answer that says that all went well and cannot be read.
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
        // Of an error the status has said enough.
        let cut =
            response.status().is_success() && response.body().bytes().is_some_and(|body| !is_whole(body));
        if cut { Err("the answer breaks off".into()) } else { Ok(()) }
    }
}

impl ClassifyRetry for RejectTruncated {
    fn name(&self) -> &'static str {
        "RejectTruncated"
    }

    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let succeeded = context.response().is_some_and(|response| response.status().is_success());
        let unread = context.output_or_error().is_some_and(|result| result.is_err());
        if succeeded && unread { RetryAction::transient_error() } else { RetryAction::NoActionIndicated }
    }
}

/// Whether a document ends with the end of its root.
fn is_whole(body: &[u8]) -> bool {
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
    fn a_document_is_whole_only_at_its_end() {
        let end = WHOLE.trim_end().len();
        for length in 1..end {
            let cut = &WHOLE[..length];
            // Nothing but the prologue is as empty as an empty body, which the reader itself refuses.
            let nothing = cut.ends_with("?>") || cut.ends_with("?>\n") || cut.ends_with("-->");
            assert_eq!(is_whole(cut.as_bytes()), nothing || cut.ends_with("-->\n"), "{cut}");
        }
        assert!(is_whole(WHOLE.as_bytes()) && is_whole(&WHOLE.as_bytes()[..end]));
    }

    #[test]
    fn documents_without_content() {
        for whole in ["", "<R/>", "<R a=\"b\" />", "<R></R>", "<R></R >"] {
            assert!(is_whole(whole.as_bytes()), "{whole}");
        }
        for cut in ["<R", "<R>", "<R><R", "<R></R", "<R/><", "<RR></R>", "text", "<?xml"] {
            assert!(!is_whole(cut.as_bytes()), "{cut}");
        }
        assert!(!is_whole(b"<R>\xff</R>"));
    }
}
