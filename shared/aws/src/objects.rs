//! Objects of any bucket: listed by their keys, looked at, read within a bound, written conditionally.

use std::{env, fmt::Display};

use aws_config::SdkConfig;
use aws_sdk_s3::{
    Client,
    config::{http::HttpResponse, retry::RetryConfig},
    error::{ProvideErrorMetadata, SdkError},
    primitives::ByteStream,
    types::{Tag, Tagging},
};

use crate::{Error, Kind};

/// A page has a thousand keys. A prefix with more than fifty pages of them is a mistake of the caller.
const PAGES: usize = 50;

/// S3. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Objects {
    client: Client,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub body: Vec<u8>,
    /// The ETag, for the next conditional write.
    pub etag: String,
}

/// What S3 reports about an object without sending it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its length in bytes.
    pub bytes: u64,
    pub etag: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// The object was written; this is its ETag.
    Written(String),
    /// The object is not the version that was read (412), or was deleted meanwhile (404), and S3 wrote
    /// nothing for *this* request. The other version may still be the caller's own write: of an earlier call
    /// whose answer was lost, or of a layer below that sent the request twice. Read the object before
    /// believing that a concurrent writer won the race.
    Lost,
    /// Another conditional write of the same object is under way (409): nothing was
    /// written, and AWS says to retry.
    Busy,
}

impl Objects {
    pub fn new(config: &SdkConfig) -> Self {
        // An emulator's endpoint has no host name per bucket.
        let path_style = env::var_os("AWS_ENDPOINT_URL").is_some();
        let config = aws_sdk_s3::config::Builder::from(config).force_path_style(path_style).build();
        Self { client: Client::from_conf(config) }
    }

    /// All keys of `bucket` that start with `prefix`, sorted as S3 sorts them.
    ///
    /// # Errors
    /// As of [`list`](Self::list).
    pub async fn keys(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, Error> {
        Ok(self.list(bucket, prefix).await?.into_iter().map(|(key, _)| key).collect())
    }

    /// All keys of `bucket` that start with `prefix`, sorted as S3 sorts them, each with its length in bytes.
    ///
    /// # Errors
    /// When a call failed, or there are more than fifty thousand keys: a part of them would prove nothing.
    pub async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<(String, u64)>, Error> {
        let what = name(bucket, prefix);
        let mut listed = Vec::new();
        let mut next = None;
        for _page in 0..PAGES {
            let page = self.client.list_objects_v2().bucket(bucket).prefix(prefix);
            let page = page.set_continuation_token(next).send().await;
            let page = page.map_err(|error| Error::of("s3:ListBucket", &what, &error))?;
            listed.extend(page.contents().iter().filter_map(|object| {
                // S3 always has the length; without one the object is not one that could be relied on.
                let bytes = object.size().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
                Some((object.key()?.to_owned(), bytes))
            }));
            next = page.next_continuation_token;
            if next.is_none() {
                return Ok(listed);
            }
        }
        Err(failed("s3:ListBucket", what, "there are more keys than fifty pages hold".into()))
    }

    /// Gives an object this tag, and takes all others from it. An object that is gone is not an error: what a
    /// tag announces has happened.
    ///
    /// # Errors
    /// When the call failed.
    pub async fn tag(&self, bucket: &str, key: &str, tag: &str, value: &str) -> Result<(), Error> {
        let broken = |reason: String| failed("s3:PutObjectTagging", name(bucket, key), reason);
        let tag = Tag::builder().key(tag).value(value).build().map_err(|error| broken(error.to_string()))?;
        let tags = Tagging::builder().tag_set(tag).build().map_err(|error| broken(error.to_string()))?;
        match self.client.put_object_tagging().bucket(bucket).key(key).tagging(tags).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("NoSuchKey") => Ok(()),
            Err(error) => Err(Error::of("s3:PutObjectTagging", name(bucket, key), &error)),
        }
    }

    /// Takes all tags off an object. An object that is gone is not an error.
    ///
    /// # Errors
    /// When the call failed.
    pub async fn untag(&self, bucket: &str, key: &str) -> Result<(), Error> {
        match self.client.delete_object_tagging().bucket(bucket).key(key).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("NoSuchKey") => Ok(()),
            Err(error) => Err(Error::of("s3:DeleteObjectTagging", name(bucket, key), &error)),
        }
    }

    /// Length and version of an object; `None` if absent.
    pub async fn head(&self, bucket: &str, key: &str) -> Result<Option<Head>, Error> {
        let head = match self.client.head_object().bucket(bucket).key(key).send().await {
            Ok(head) => head,
            Err(error) if status(&error) == Some(404) => return Ok(None),
            // The answer to HEAD has no body, so it lacks S3's own code and message.
            Err(error) if status(&error) == Some(403) => {
                let reason = "403 Forbidden".to_owned();
                let what = name(bucket, key);
                return Err(Error { call: "s3:GetObject (HEAD)", what, reason, kind: Kind::Denied });
            }
            Err(error) => return Err(Error::of("s3:GetObject (HEAD)", name(bucket, key), &error)),
        };
        let bytes = head.content_length().and_then(|bytes| u64::try_from(bytes).ok());
        let bytes = bytes.ok_or_else(|| {
            failed("s3:GetObject (HEAD)", name(bucket, key), "the answer has no length".into())
        })?;
        Ok(Some(Head { bytes, etag: head.e_tag.unwrap_or_default() }))
    }

    /// Reads an object of at most `longest` bytes; `None` if absent.
    ///
    /// # Errors
    /// When a call failed, or the object is longer: then at most `longest` bytes of it were read.
    pub async fn get(&self, bucket: &str, key: &str, longest: usize) -> Result<Option<Stored>, Error> {
        let broken = |reason: String| failed("s3:GetObject", name(bucket, key), reason);
        let too_long = || broken(format!("it is larger than {longest} bytes, so it is not what is meant"));
        let mut answer = match self.client.get_object().bucket(bucket).key(key).send().await {
            Ok(answer) => answer,
            Err(error) if error.code() == Some("NoSuchKey") => return Ok(None),
            Err(error) => return Err(Error::of("s3:GetObject", name(bucket, key), &error)),
        };
        if answer.content_length().is_some_and(|length| usize::try_from(length).is_ok_and(|n| n > longest)) {
            return Err(too_long());
        }
        let mut body = Vec::new();
        while let Some(part) = answer.body.try_next().await.map_err(|error| broken(error.to_string()))? {
            if body.len() + part.len() > longest {
                return Err(too_long());
            }
            body.extend_from_slice(&part);
        }
        Ok(Some(Stored { body, etag: answer.e_tag.unwrap_or_default() }))
    }

    /// Writes JSON if the object is still the version `seen` (`None`: if it is still absent). One attempt of
    /// at most four seconds, without the SDK's retries: after a lost answer a second attempt would meet the
    /// first one's version and report a successful write as lost.
    ///
    /// # Errors
    /// When it is not known whether the object was written: no answer, or a 5xx. Read it.
    pub async fn put(
        &self,
        bucket: &str,
        key: &str,
        body: Vec<u8>,
        seen: Option<&str>,
    ) -> Result<Put, Error> {
        let put = self.client.put_object().bucket(bucket).key(key).body(ByteStream::from(body));
        let put = match seen {
            Some(etag) => put.if_match(etag),
            None => put.if_none_match("*"),
        };
        let once = aws_sdk_s3::config::Builder::new().retry_config(RetryConfig::disabled());
        match put.content_type("application/json").customize().config_override(once).send().await {
            Ok(answer) => Ok(Put::Written(answer.e_tag.unwrap_or_default())),
            Err(error) => match status(&error) {
                Some(412) => Ok(Put::Lost),
                Some(409) => Ok(Put::Busy),
                // With If-Match, an object that was deleted meanwhile is "NoSuchKey".
                Some(404) if error.code() != Some("NoSuchBucket") => Ok(Put::Lost),
                _ => Err(Error::of("s3:PutObject", name(bucket, key), &error)),
            },
        }
    }
}

fn name(bucket: &str, key: impl Display) -> String {
    format!("s3://{bucket}/{key}")
}

fn failed(call: &'static str, what: String, reason: String) -> Error {
    Error { call, what, reason, kind: Kind::Other }
}

fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|raw| raw.status().as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    async fn put(fake: &Fake, seen: Option<&str>) -> Result<Put, Error> {
        Objects::new(&fake.config).put("b", "k", b"{}".to_vec(), seen).await
    }

    fn refusal(code: &str) -> String {
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>m</Message></Error>")
    }

    #[tokio::test]
    async fn a_conditional_write_names_the_version_it_replaces() {
        let fake = Fake::start(|_, _| Some((200, String::new()))).await;
        assert_eq!(put(&fake, Some("\"v7\"")).await, Ok(Put::Written("\"v0\"".into())));
        assert_eq!(put(&fake, None).await, Ok(Put::Written("\"v1\"".into())));
        let asked = fake.asked();
        assert!(
            asked[0].head.contains("put /b/k") && asked[0].head.contains("if-match: \"v7\""),
            "{asked:?}"
        );
        assert!(asked[1].head.contains("if-none-match: *"), "{asked:?}");
    }

    #[tokio::test]
    async fn a_refused_condition_is_told_apart_from_a_busy_object_and_a_missing_bucket() {
        for (status, code, expected) in [
            (412, "PreconditionFailed", Ok(Put::Lost)),
            (409, "ConditionalRequestConflict", Ok(Put::Busy)),
            (404, "NoSuchKey", Ok(Put::Lost)),
            (404, "NoSuchBucket", Err("NoSuchBucket: m")),
            (403, "AccessDenied", Err("AccessDenied: m")),
        ] {
            let fake = Fake::start(move |_, _| Some((status, refusal(code)))).await;
            let put = put(&fake, Some("v")).await;
            assert_eq!(
                put.as_ref().map_err(|error| error.reason.as_str()),
                expected.as_ref().map_err(|r| *r),
                "{code}"
            );
            assert_eq!(fake.asked().len(), 1, "{code} was asked again");
        }
    }

    /// The first attempt may have written the object: a second one would be refused, and reported as lost.
    #[tokio::test]
    async fn a_conditional_write_is_never_sent_twice() {
        for answer in [Some((500, refusal("InternalError"))), Some((503, refusal("SlowDown"))), None] {
            let first = answer.clone();
            let fake = Fake::start(move |number, _| {
                if number == 0 { first.clone() } else { Some((412, refusal("PreconditionFailed"))) }
            })
            .await;
            let put = put(&fake, Some("v")).await;
            assert!(put.is_err(), "{answer:?}: {put:?}");
            assert_eq!(fake.asked().len(), 1, "{answer:?} was tried again");
        }
    }

    #[tokio::test]
    async fn a_listing_has_every_page_with_the_length_of_each_object() {
        let page = |key: &str, rest: &str| {
            format!(
                "<ListBucketResult>{rest}<Contents><Key>{key}</Key><Size>7</Size></Contents></ListBucketResult>"
            )
        };
        let fake = Fake::start(move |number, _| {
            let more = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>";
            Some((200, if number == 0 { page("p/a", more) } else { page("p/b", "") }))
        })
        .await;
        let objects = Objects::new(&fake.config);
        let listed = objects.list("b", "p/").await.unwrap();
        assert_eq!(listed, [("p/a".to_owned(), 7), ("p/b".to_owned(), 7)]);
        let asked = fake.asked();
        assert!(asked[0].head.contains("prefix=p%2f"), "{asked:?}");
        assert!(asked[1].head.contains("continuation-token=t"), "{asked:?}");
        // More pages than can be meant: a part of a listing would prove nothing.
        let endless = Fake::start(move |_, _| {
            let more = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>";
            Some((200, page("p/a", more)))
        })
        .await;
        let error = Objects::new(&endless.config).list("b", "p/").await.unwrap_err();
        assert_eq!((endless.asked().len(), error.reason.contains("fifty pages")), (PAGES, true), "{error}");
    }

    #[tokio::test]
    async fn a_tag_is_one_call_and_an_object_that_is_gone_needs_none() {
        for (status, code, expected) in [
            (200, "", Ok(())),
            (404, "NoSuchKey", Ok(())),
            (404, "NoSuchBucket", Err("NoSuchBucket: m")),
            (403, "AccessDenied", Err("AccessDenied: m")),
        ] {
            let body = if code.is_empty() { String::new() } else { refusal(code) };
            let fake = Fake::start(move |_, _| Some((status, body.clone()))).await;
            let tagged = Objects::new(&fake.config).tag("b", "k", "neo4j-backup-expired", "yes").await;
            assert_eq!(
                tagged.as_ref().map_err(|error| error.reason.as_str()),
                expected.as_ref().map_err(|r| *r)
            );
            let untagged = Objects::new(&fake.config).untag("b", "k").await;
            assert_eq!(
                untagged.as_ref().map_err(|error| error.reason.as_str()),
                expected.as_ref().map_err(|r| *r)
            );
            let asked = fake.asked();
            assert!(asked[0].head.starts_with("put /b/k?tagging"), "{asked:?}");
            assert!(asked.last().unwrap().head.starts_with("delete /b/k?tagging"), "{asked:?}");
            let tag = "<Tag><Key>neo4j-backup-expired</Key><Value>yes</Value></Tag>";
            assert!(asked[0].body.contains(tag), "{asked:?}");
        }
    }

    /// A read keeps the SDK's retries.
    #[tokio::test]
    async fn a_read_is_tried_again() {
        let fake = Fake::start(|number, _| {
            if number == 0 { Some((500, refusal("InternalError"))) } else { Some((200, "{}".into())) }
        })
        .await;
        let stored = Objects::new(&fake.config).get("b", "k", 9).await.unwrap().unwrap();
        assert_eq!((stored.body, fake.asked().len()), (b"{}".to_vec(), 2));
    }

    /// One attempt, and no more than its four seconds.
    #[tokio::test]
    async fn a_write_without_an_answer_ends_with_its_attempt() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Fake::start(|_, _| None).await;
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let silent = fake.config.into_builder().endpoint_url(endpoint).build();
        let began = std::time::Instant::now();
        let put = Objects::new(&silent).put("b", "k", b"{}".to_vec(), None).await;
        assert!(put.is_err() && began.elapsed().as_secs() < 6, "{put:?} after {:?}", began.elapsed());
    }
}
