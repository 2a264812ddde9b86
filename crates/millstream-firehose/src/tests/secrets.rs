//! Secrets of a configuration: sealed at rest, in use in the plan, and never shown.

use std::collections::BTreeMap;

use millstream_auth::Secret;
use serde_json::{Value, json};

use super::world::*;
use crate::plan::Target;
use crate::{Settings, World as Behind};

const JDBC: &str = "jdbc:redshift://cluster.abc.us-east-1.redshift.amazonaws.com:5439/dev";
const SECRET_ARN: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:warehouse";

fn redshift(more: Value) -> Value {
    let base = json!({
        "RoleARN": ROLE,
        "ClusterJDBCURL": JDBC,
        "CopyCommand": {"DataTableName": "orders"},
        "S3Configuration": bucket(),
    });
    json!({"RedshiftDestinationConfiguration": with(base, more)})
}

fn http(more: Value) -> Value {
    let base = json!({
        "EndpointConfiguration": {"Url": "https://h/?token=hush", "AccessKey": "hush key"},
        "RequestConfiguration": {"CommonAttributes": [
            {"AttributeName": "tenant", "AttributeValue": "hush attribute"},
        ]},
        "S3Configuration": bucket(),
    });
    json!({"HttpEndpointDestinationConfiguration": with(base, more)})
}

fn splunk(more: Value) -> Value {
    let base = json!({
        "HECEndpoint": "https://splunk:8088",
        "HECEndpointType": "Raw",
        "S3Configuration": bucket(),
    });
    json!({"SplunkDestinationConfiguration": with(base, more)})
}

fn target(world: &World, name: &str) -> Target {
    let orders = world.firehose.orders();
    orders.iter().find(|order| order.name == name).expect("active").plan.target.clone()
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_at_rest_sealed_only_and_in_the_plan_in_the_clear() {
    let world = World::new().await;
    let login = json!({"Username": "hush user", "Password": "hush password"});
    world.create("redshift", redshift(login)).await.unwrap();
    world.create("http", http(json!({}))).await.unwrap();
    world.create("splunk", splunk(json!({"HECToken": "hush token"}))).await.unwrap();
    assert!(!world.is_stored(b"hush"));
    // Nor after an update, nor in a crash's wake.
    let update = json!({
        "DeliveryStreamName": "http",
        "CurrentDeliveryStreamVersionId": "1",
        "DestinationId": "destinationId-000000000001",
        "HttpEndpointDestinationUpdate": {
            "EndpointConfiguration": {"Url": "https://h/?token=hush", "AccessKey": "hush new key"},
        },
    });
    world.call("UpdateDestination", update).await.unwrap();
    let world = world.crash().await;
    assert!(!world.is_stored(b"hush"));
    let Target::Redshift(redshift) = target(&world, "redshift") else { panic!("Redshift") };
    assert_eq!((&*redshift.user, redshift.password.as_str()), ("hush user", "hush password"));
    let Target::Http(http) = target(&world, "http") else { panic!("HTTP") };
    assert_eq!(http.access_key.unwrap().as_str(), "hush new key");
    assert_eq!(http.url, "https://h/?token=hush");
    assert_eq!(http.attributes, [("tenant".to_owned(), "hush attribute".to_owned())]);
    let Target::Splunk(splunk) = target(&world, "splunk") else { panic!("Splunk") };
    assert_eq!(splunk.token.as_str(), "hush token");
    for order in world.firehose.orders() {
        assert!(!format!("{order:?}").contains("hush"), "{order:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn passwords_and_access_keys_are_never_described() {
    let world = World::new().await;
    let login = json!({"Username": "ada", "Password": "hush password"});
    world.create("redshift", redshift(login)).await.unwrap();
    world.create("http", http(json!({}))).await.unwrap();
    world.create("splunk", splunk(json!({"HECToken": "token"}))).await.unwrap();
    let redshift = world.destination("redshift").await.to_string();
    assert!(redshift.contains(r#""Username":"ada""#) && !redshift.contains("hush password"));
    let http = world.destination("http").await.to_string();
    assert!(http.contains("hush attribute") && !http.contains("hush key"), "{http}");
    let splunk = world.destination("splunk").await;
    assert_eq!(splunk["SplunkDestinationDescription"]["HECToken"], "token");
}

#[tokio::test(start_paused = true)]
async fn a_managed_secret_is_read_from_the_settings_and_counts() {
    let text = r#"{"username": "grace", "password": "hush", "api_key": "k", "hec_token": "t"}"#;
    let secrets = BTreeMap::from([(SECRET_ARN.to_owned(), Secret::from(text))]);
    let behind = Behind { secrets, ..Behind::default() };
    let world = World::with(Settings { world: behind, ..settings() }).await;
    let managed = json!({"Enabled": true, "SecretARN": SECRET_ARN, "RoleARN": ROLE});
    let managed = json!({"SecretsManagerConfiguration": managed});
    world.create("redshift", redshift(managed.clone())).await.unwrap();
    world.create("http", http(managed.clone())).await.unwrap();
    world.create("splunk", splunk(managed.clone())).await.unwrap();
    let Target::Redshift(target_) = target(&world, "redshift") else { panic!("Redshift") };
    assert_eq!((&*target_.user, target_.password.as_str()), ("grace", "hush"));
    let Target::Http(http) = target(&world, "http") else { panic!("HTTP") };
    assert_eq!(http.access_key.unwrap().as_str(), "k");
    let Target::Splunk(splunk_) = target(&world, "splunk") else { panic!("Splunk") };
    assert_eq!(splunk_.token.as_str(), "t");
    assert!(!world.is_stored(b"hush"));
    let described = world.destination("redshift").await;
    let shown = &described["RedshiftDestinationDescription"]["SecretsManagerConfiguration"];
    assert_eq!(*shown, managed["SecretsManagerConfiguration"]);
    let absent = SECRET_ARN.replace("warehouse", "absent");
    let managed = json!({"Enabled": true, "SecretARN": absent});
    let told = world.create("other", splunk(json!({"SecretsManagerConfiguration": managed}))).await;
    let text = format!(
        "The secret {absent} is not known, or lacks hec_token: secrets are kept in the server's \
         settings."
    );
    refused(told, "InvalidArgumentException", &text);
}
