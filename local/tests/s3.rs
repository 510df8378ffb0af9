//! S3 as backups use it, through the gateway: one case per sentence that is followed.
//!
//! Pages are of docs.aws.amazon.com: `s3/...` of S3's user guide, `API/...` of its API reference.

use crate::account::Account;
use bytes::Bytes;
use local::stacks;
use serde_json::{Value, json};

const BUCKET: &str = "AWS::S3::Bucket";
/// All parts but the last have at least 5 MiB (`s3/qfacts`).
const PART: usize = 5 << 20;
const FOLDER: &str = "backups/hourly/20261127T170000Z-x";
const ONLY_ONCE: (&str, &str) = ("if-none-match", "*");

async fn bucket(account: &Account, further: &[(&str, Value)]) -> String {
    let mut resources = json!({"B": {"Type": BUCKET}});
    for (name, resource) in further {
        resources[*name] = resource.clone();
    }
    account.create("s", resources).await.must_be("CREATE_COMPLETE").unwrap();
    stacks::resource(account.at, "s", "B").await.unwrap()
}

fn between<'a>(text: &'a str, element: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    text.split(&*open).skip(1).filter_map(|rest| rest.split(&*close).next()).collect()
}

async fn put(account: &Account, object: &str, headers: &[(&str, &str)]) -> u16 {
    account.s3("PUT", object, headers, Bytes::from_static(b"{}")).await.0
}

/// What HEAD says of an object's length, read from the wire: a client would take the length of the body that it got.
fn length_of_head(account: &Account, object: &str) -> Option<usize> {
    use std::io::{Read as _, Write as _};
    let scope = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
    let mut connection = std::net::TcpStream::connect(account.at).unwrap();
    let head = format!(
        "HEAD {object} HTTP/1.1\r\nhost: {}\r\nauthorization: {scope}\r\nconnection: close\r\n\r\n",
        account.at
    );
    connection.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
}

/// Uploads two parts, and completes the upload with these headers; the status of each of the four calls, and the last answer.
async fn upload(account: &Account, object: &str, headers: &[(&str, &str)]) -> (Vec<u16>, String) {
    let (status, begun) = account.s3("POST", &format!("{object}?uploads"), &[], Bytes::new()).await;
    let mut statuses = vec![status];
    let id = between(&begun, "UploadId").first().copied().unwrap_or_default();
    let mut parts = String::new();
    for (number, size) in [(1, PART), (2, 3)] {
        let path = format!("{object}?uploadId={id}&partNumber={number}");
        statuses.push(account.s3("PUT", &path, &[], vec![b'x'; size].into()).await.0);
        parts += &format!("<Part><PartNumber>{number}</PartNumber></Part>");
    }
    let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    let (status, answer) = account.s3("POST", &format!("{object}?uploadId={id}"), headers, body.into()).await;
    statuses.push(status);
    (statuses, answer)
}

/// `s3/conditional-writes`: `If-None-Match: *` of CompleteMultipartUpload answers 412 when there is an object of that key; "the parts of the
/// upload are not lost", and what is there stays as it is.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_completed_once() {
    let account = Account::start("s3-upload").await;
    let bucket = bucket(&account, &[]).await;
    let object = format!("/{bucket}/{FOLDER}/store.tar.zst");
    assert_eq!(upload(&account, &object, &[ONLY_ONCE]).await.0, [200, 200, 200, 200]);
    // `API/API_HeadObject`: Content-Length is the size of the body, which is not sent.
    assert_eq!(length_of_head(&account, &object), Some(PART + 3));
    let (statuses, answer) = upload(&account, &object, &[ONLY_ONCE]).await;
    assert_eq!(statuses, [200, 200, 200, 412], "{answer}");
    assert_eq!(between(&answer, "Code"), ["PreconditionFailed"]);
    let (status, range) = account.s3("GET", &object, &[("range", "bytes=5242880-")], Bytes::new()).await;
    assert_eq!((status, range.as_str()), (206, "xxx"));
    assert_eq!(put(&account, &format!("/{bucket}/{FOLDER}/manifest.json"), &[ONLY_ONCE]).await, 200);
    assert_eq!(put(&account, &format!("/{bucket}/{FOLDER}/manifest.json"), &[ONLY_ONCE]).await, 412);
}

/// `API/API_PutObjectTagging`: tags are set on an object that is there, and read with GetObjectTagging. `API/API_ListObjectsV2`: keys below a
/// prefix in order with their sizes, in pages with a token.
#[tokio::test]
async fn objects_are_listed_in_pages_and_tagged() {
    let account = Account::start("s3-tags").await;
    let bucket = bucket(&account, &[]).await;
    for key in ["store.tar.zst", "manifest.json", "hold.json"] {
        assert_eq!(put(&account, &format!("/{bucket}/{FOLDER}/{key}"), &[ONLY_ONCE]).await, 200);
    }
    assert_eq!(put(&account, &format!("/{bucket}/owner.json"), &[ONLY_ONCE]).await, 200);
    let list = format!("/{bucket}?list-type=2&prefix=backups%2F&max-keys=2");
    let (_, first) = account.s3("GET", &list, &[], Bytes::new()).await;
    let token = between(&first, "NextContinuationToken")[0].to_owned();
    let (_, second) = account
        .s3("GET", &format!("{list}&continuation-token={}", token.replace('=', "%3D")), &[], Bytes::new())
        .await;
    let mut keys = between(&first, "Key");
    keys.extend(between(&second, "Key"));
    assert_eq!(keys, ["hold.json", "manifest.json", "store.tar.zst"].map(|key| format!("{FOLDER}/{key}")));
    assert_eq!(between(&first, "Size"), ["2", "2"]);
    assert_eq!(between(&second, "IsTruncated"), ["false"]);

    let tags = "<Tagging><TagSet><Tag><Key>expired</Key><Value>true</Value></Tag></TagSet></Tagging>";
    let object = format!("/{bucket}/{FOLDER}/manifest.json?tagging");
    assert_eq!(account.s3("PUT", &object, &[], tags.into()).await.0, 200);
    let (_, told) = account.s3("GET", &object, &[], Bytes::new()).await;
    assert_eq!((between(&told, "Key"), between(&told, "Value")), (vec!["expired"], vec!["true"]));
    let missing = format!("/{bucket}/{FOLDER}/report.txt?tagging");
    assert_eq!(account.s3("PUT", &missing, &[], tags.into()).await.0, 404);
}

/// `s3/conditional-writes-enforce`: where a policy denies writes without `If-None-Match`, PutObject and CompleteMultipartUpload without it
/// "fail with a 403 Access Denied error", and `s3:ObjectCreationOperation` exempts the parts of an upload. IAM's guide,
/// `reference_policies_evaluation-logic`: an explicit denial is one whatever else allows the call.
#[tokio::test]
async fn a_bucket_whose_policy_denies_it_is_not_written_over_and_not_deleted_from() {
    let account = Account::start("s3-policy").await;
    let objects = |below: &str| json!({"Fn::Sub": format!("${{B.Arn}}/{below}")});
    let deny = |further: Value| {
        let mut statement = json!({"Effect": "Deny", "Principal": "*"});
        statement.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        statement
    };
    let statements = [
        deny(
            json!({"Action": "s3:*", "Resource": objects("*"), "Condition": {"Bool": {"aws:SecureTransport": "false"}}}),
        ),
        deny(json!({"Action": "s3:PutObject", "Resource": objects("backups/*"),
            "Condition": {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}})),
        deny(json!({"Action": ["s3:DeleteObject", "s3:DeleteObjectVersion"], "Resource": objects("*")})),
    ];
    let policy = json!({"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": {"Ref": "B"},
        "PolicyDocument": {"Version": "2012-10-17", "Statement": statements}}});
    let bucket = bucket(&account, &[("P", policy)]).await;
    let (data, manifest) =
        (format!("/{bucket}/{FOLDER}/store.tar.zst"), format!("/{bucket}/{FOLDER}/manifest.json"));

    let (status, answer) = account.s3("PUT", &manifest, &[], Bytes::from_static(b"{}")).await;
    assert_eq!((status, between(&answer, "Code")), (403, vec!["AccessDenied"]), "{answer}");
    assert!(answer.contains("with an explicit deny in a resource-based policy"), "{answer}");
    let (statuses, answer) = upload(&account, &data, &[]).await;
    assert_eq!((statuses, between(&answer, "Code")), (vec![200, 200, 200, 403], vec!["AccessDenied"]));
    assert_eq!(account.s3("GET", &data, &[], Bytes::new()).await.0, 404, "nothing was written");
    let copy = ("x-amz-copy-source", "/b/other");
    assert_eq!(put(&account, &manifest, &[copy]).await, 403, "CopyObject has no such header");

    assert_eq!(upload(&account, &data, &[ONLY_ONCE]).await.0, [200, 200, 200, 200]);
    assert_eq!(put(&account, &manifest, &[ONLY_ONCE]).await, 200);
    assert_eq!(put(&account, &format!("/{bucket}/owner.json"), &[]).await, 200, "it is not below backups/");
    let tags = "<Tagging><TagSet><Tag><Key>expired</Key><Value>true</Value></Tag></TagSet></Tagging>";
    assert_eq!(
        account.s3("PUT", &format!("{manifest}?tagging"), &[], tags.into()).await.0,
        200,
        "a tag is no object"
    );

    for object in [&data, &format!("{data}?versionId=null"), &format!("/{bucket}/owner.json")] {
        let (status, answer) = account.s3("DELETE", object, &[], Bytes::new()).await;
        assert_eq!((status, between(&answer, "Code")), (403, vec!["AccessDenied"]), "{object}: {answer}");
    }
    // `API/API_DeleteObjects`: 200, with an error for each key that is denied.
    let many = format!(
        "<Delete><Object><Key>{FOLDER}/store.tar.zst</Key></Object><Object><Key>owner.json</Key></Object></Delete>"
    );
    let (status, answer) = account.s3("POST", &format!("/{bucket}?delete"), &[], many.into()).await;
    assert_eq!((status, between(&answer, "Code").len()), (200, 2), "{answer}");
    for object in [&data, &manifest, &format!("/{bucket}/owner.json")] {
        assert_eq!(account.s3("HEAD", object, &[], Bytes::new()).await.0, 200, "{object} is gone");
    }
    // An upload that is not completed is no object yet.
    let (_, begun) = account.s3("POST", &format!("{data}?uploads"), &[], Bytes::new()).await;
    let abort = format!("{data}?uploadId={}", between(&begun, "UploadId")[0]);
    assert_eq!(account.s3("DELETE", &abort, &[], Bytes::new()).await.0, 204);
}
