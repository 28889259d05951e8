//! Listings in pages: AWS chooses where a page ends, a page may be empty, and the token of the next one may have any characters. The emulators fill
//! each page but the last one, so here an HTTP client answers with such pages, for an endpoint that the adapter does not take for an emulator.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use futures::StreamExt as _;
use hatchery::cloud::Pages;
use hatchery::cloud::aws::AwsCloud;
use hatchery::domain::FleetName;
use proptest::prelude::*;

use crate::support::emulator::{REGION, credentials};

/// The numbers on each page of a listing.
#[derive(Debug, Clone)]
struct Partition(Vec<Vec<u32>>);

impl HttpConnector for Partition {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let asked = form_urlencoded::parse(request.body().bytes().unwrap()).into_owned().collect();
        let mut response = HttpResponse::new(200.try_into().unwrap(), SdkBody::from(answer(self, &asked)));
        response.headers_mut().insert("date", "Mon, 02 Mar 2026 06:00:00 GMT");
        HttpConnectorFuture::ready(Ok(response))
    }
}

fn connect(partition: &Partition) -> AwsCloud {
    let connector = SharedHttpConnector::new(partition.clone());
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url("https://aws.example")
        .credentials_provider(SharedCredentialsProvider::new(credentials()))
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .build();
    AwsCloud::with_config(&config).unwrap()
}

/// Something that looks like the tokens of AWS.
fn token(page: usize) -> String {
    format!("eyJ2Ijo+/{page}&=%25 é==")
}

fn tags(number: u32, role: &str, list: &str, item: &str) -> String {
    let tags = [
        ("hatchery:fleet", "dev"),
        ("hatchery:role", role),
        ("hatchery:environment", &format!("dev-{number}")),
    ];
    let items = tags.map(|(key, value)| format!("<{item}><Key>{key}</Key><Value>{value}</Value></{item}>"));
    let items = items.concat();
    // EC2 writes its names in lower camel case.
    let items =
        if item == "item" { items.replace("Key>", "key>").replace("Value>", "value>") } else { items };
    format!("<{list}>{items}</{list}>")
}

fn template(number: u32) -> String {
    format!(
        "<item><launchTemplateId>lt-{number}</launchTemplateId><launchTemplateName>hatchery/dev/{number}\
         </launchTemplateName><createTime>2026-03-02T06:00:00.000Z</createTime>{}</item>",
        tags(number, "environment", "tagSet", "item")
    )
}

fn instance(number: u32) -> String {
    format!(
        "<item><instanceId>i-{number}</instanceId><instanceState><code>16</code><name>running</name>\
         </instanceState><instanceType>t3.large</instanceType><launchTime>2026-03-02T06:00:00.000Z</launchTime>\
         {}</item>",
        tags(number, "environment", "tagSet", "item")
    )
}

fn database(number: u32) -> String {
    format!(
        "<DBInstance><DBInstanceIdentifier>hatchery-dev-{number}</DBInstanceIdentifier>\
         <DBInstanceStatus>available</DBInstanceStatus>{}</DBInstance>",
        tags(number, "pool", "TagList", "Tag")
    )
}

/// The response to a request for a page.
fn answer(Partition(partition): &Partition, asked: &BTreeMap<String, String>) -> String {
    let given = asked.get("NextToken").or(asked.get("Marker"));
    let page = given.map_or(0, |given| (1..partition.len()).find(|page| token(*page) == *given).unwrap());
    let next = (page + 1 < partition.len()).then(|| token(page + 1).replace('&', "&amp;"));
    let items =
        |item: fn(u32) -> String| partition[page].iter().map(|number| item(*number)).collect::<String>();
    let ec2 = |name: &str, list: &str, items: String| {
        let mut body = format!("<{name}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">");
        write!(body, "<requestId>r</requestId><{list}>{items}</{list}>").unwrap();
        if let Some(next) = &next {
            write!(body, "<nextToken>{next}</nextToken>").unwrap();
        }
        body + &format!("</{name}Response>")
    };
    match asked["Action"].as_str() {
        name @ "DescribeLaunchTemplates" => ec2(name, "launchTemplates", items(template)),
        name @ "DescribeInstances" => {
            // A reservation has the instances of one launch.
            let reservations = items(|number| {
                let instance = instance(number);
                format!(
                    "<item><reservationId>r-{number}</reservationId><instancesSet>{instance}</instancesSet></item>"
                )
            });
            ec2(name, "reservationSet", reservations)
        }
        name => {
            assert_eq!(name, "DescribeDBInstances");
            let marker = next.map_or(String::new(), |next| format!("<Marker>{next}</Marker>"));
            format!(
                "<{name}Response xmlns=\"http://rds.amazonaws.com/doc/2014-10-31/\"><{name}Result>{marker}\
                 <DBInstances>{}</DBInstances></{name}Result></{name}Response>",
                items(database)
            )
        }
    }
}

async fn listed<T>(pages: Pages<'_, T>, number: impl Fn(&T) -> u32) -> Vec<u32> {
    let pages: Vec<_> = pages.map(|page| page.unwrap()).collect().await;
    assert!(pages.iter().all(|page| page.unreadable.is_empty()));
    pages.iter().flat_map(|page| &page.value).map(number).collect()
}

/// The numbers of the templates, instances and databases that the adapter lists.
async fn list_all(cloud: &AwsCloud) -> [Vec<u32>; 3] {
    use hatchery::cloud::{Cloud as _, Template};
    let fleet: FleetName = "dev".parse().unwrap();
    let record = |template: &Template| template.clone().record().unwrap().number().0;
    [
        listed(cloud.templates(&fleet), record).await,
        listed(cloud.instances(&fleet), |instance| instance.environment.number.0).await,
        listed(cloud.databases(&fleet), |database| database.number.0).await,
    ]
}

/// Up to 30 numbers, divided into pages, of which some are empty.
fn any_partition() -> impl Strategy<Value = Partition> {
    proptest::collection::vec(0_usize..6, 1..9).prop_map(|sizes| {
        let mut numbers = 1..;
        Partition(sizes.into_iter().map(|size| numbers.by_ref().take(size).collect()).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn everything_is_listed_once_wherever_pages_end(partition in any_partition()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listed = runtime.block_on(async { list_all(&connect(&partition)).await });
        let expected: Vec<u32> = partition.0.concat();
        for (listed, kind) in listed.iter().zip(["templates", "instances", "databases"]) {
            prop_assert_eq!(listed, &expected, "{}", kind);
        }
    }
}
