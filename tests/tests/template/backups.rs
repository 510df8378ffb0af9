//! Backups: what their bucket admits, what its lifecycle deletes, who may do what, and what Fargate would refuse.
//!
//! The local cloud enforces no policy and runs no lifecycle, so what they say is compared with AWS's words.

use serde_json::{Value, json};

use super::{ALL, actions, of_type, statements, template, text};

const BACKUPS: &str = "cluster/backups.yml";
/// The tag that `backup-trigger` gives what retention lets go.
const TAG: (&str, &str) = ("neo4j-backup-expired", "yes");

fn policy() -> Vec<Value> {
    let backups = template(BACKUPS);
    let document = &backups["Resources"]["BucketPolicy"]["Properties"]["PolicyDocument"];
    document["Statement"].as_array().unwrap().clone()
}

fn statement(sid: &str) -> Value {
    policy().into_iter().find(|one| one["Sid"] == sid).unwrap_or_else(|| panic!("no statement {sid}"))
}

fn rule(id: &str) -> Value {
    let backups = template(BACKUPS);
    let rules = &backups["Resources"]["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"];
    let rules = rules.as_array().unwrap().iter();
    rules.clone().find(|rule| rule["Id"] == id).unwrap_or_else(|| panic!("no rule {id}")).clone()
}

#[test]
fn the_bucket_is_versioned_encrypted_and_closed_to_the_public() {
    let backups = template(BACKUPS);
    let bucket = &backups["Resources"]["Bucket"]["Properties"];
    assert_eq!(bucket["VersioningConfiguration"]["Status"], "Enabled");
    let closed = bucket["PublicAccessBlockConfiguration"].as_object().unwrap();
    assert!(closed.len() == 4 && closed.values().all(|is| *is == true), "{closed:?}");
    let encryption = &bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0];
    let by_default = &encryption["ServerSideEncryptionByDefault"];
    assert_eq!(by_default["SSEAlgorithm"], json!({"Fn::If": ["HasKey", "aws:kms", "AES256"]}));
    assert_eq!(by_default["KMSMasterKeyID"]["Fn::If"][1], json!({"Ref": "BackupKmsKeyArn"}));
    let tls = statement("OnlyTls");
    assert_eq!(
        (&tls["Effect"], &tls["Principal"], &tls["Action"]),
        (&"Deny".into(), &"*".into(), &"s3:*".into())
    );
    assert_eq!(tls["Condition"], json!({"Bool": {"aws:SecureTransport": "false"}}));
    assert_eq!(tls["Resource"].as_array().unwrap().len(), 2, "the bucket and what is in it");
    assert!(policy().iter().all(|one| one["Effect"] == "Deny"), "it allows nothing: roles do");
}

/// `AmazonS3/latest/userguide/conditional-writes-enforce.html`: "You can use the condition keys s3:if-match or s3:if-none-match [...]. For
/// multipart uploads you must specify the s3:ObjectCreationOperation condition key to exempt the CreateMultipartUpload, UploadPart, and
/// UploadPartCopy operations, as these APIs don't accept conditional headers."
#[test]
fn no_object_of_a_backup_can_be_replaced() {
    let only_new = statement("OnlyNewObjects");
    assert_eq!((&only_new["Effect"], &only_new["Principal"]), (&"Deny".into(), &"*".into()));
    // CompleteMultipartUpload and CopyObject are this action too.
    assert_eq!(only_new["Action"], "s3:PutObject");
    assert_eq!(
        only_new["Condition"],
        json!({"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}})
    );
    let below = |key: &str| json!({"Fn::Sub": format!("${{Bucket.Arn}}/{key}")});
    assert_eq!(only_new["Resource"], json!([below("backups/*"), below("owner.json")]));
}

/// `AmazonS3/latest/userguide/bucket-policies.html`: "You can't use a bucket policy to prevent deletions or transitions by an S3 Lifecycle
/// rule." So the lifecycle is all that deletes, and everyone else is denied, every role of the stack included.
#[test]
fn nothing_but_the_lifecycle_deletes_a_backup() {
    let deletes = statement("OnlyTheLifecycleDeletes");
    assert_eq!(
        (&deletes["Effect"], &deletes["Principal"]),
        (&"Deny".into(), &"*".into()),
        "every role is in it"
    );
    assert_eq!(actions(&deletes), ["s3:DeleteObject", "s3:DeleteObjectVersion"]);
    assert!(deletes.get("Condition").is_none(), "whatever the circumstances");
    let named = deletes["Resource"].to_string();
    for name in ["manifest.json", "store.tar.zst", "report.txt"] {
        assert!(named.contains(&format!("/backups/*/{name}\"")), "{name}: {named}");
    }
    assert!(named.contains("/owner.json\""), "{named}");
    // Operators end a hold by deleting it.
    assert!(!named.contains("hold") && !named.contains("/backups/*\""), "{named}");
    for (at, statement) in statements().iter().filter(|(_, statement)| statement["Effect"] == "Allow") {
        for action in actions(statement) {
            // Nor what would take the protection away.
            // A tag that is taken off keeps a backup.
            if action == "s3:DeleteObjectTagging" {
                continue;
            }
            for may in
                ["s3:Delete", "s3:PutBucketPolicy", "s3:PutLifecycle", "s3:PutBucketVersioning", "s3:Bypass"]
            {
                assert!(!action.starts_with(may), "{at} may {action}");
            }
        }
    }
}

/// S3's own words for what CloudFormation would hand on: "AbortIncompleteMultipartUpload cannot be specified with Tags.",
/// "ExpiredObjectDeleteMarker cannot be specified with Tags." So the rule with the tag has no other action.
#[test]
fn the_lifecycle_deletes_what_is_tagged_and_clears_up_in_rules_without_tags() {
    let expired = rule("expired-backups");
    let tag = json!([{"Key": TAG.0, "Value": TAG.1}]);
    let whole = json!({"Id": "expired-backups", "Status": "Enabled", "Prefix": "backups/", "TagFilters": tag,
        "ExpirationInDays": 1});
    assert_eq!(expired, whole);
    let earlier = rule("earlier-versions");
    assert_eq!(earlier["NoncurrentVersionExpiration"]["NoncurrentDays"], 7);
    assert_eq!(earlier["ExpiredObjectDeleteMarker"], true);
    let uploads = rule("uploads-that-were-not-completed");
    assert_eq!(uploads["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"], 2);
    for rule in [&earlier, &uploads] {
        assert_eq!(rule["Status"], "Enabled");
        assert!(rule.get("TagFilters").is_none() && rule.get("Prefix").is_none(), "{rule}");
        assert!(rule.get("ExpirationInDays").is_none(), "it deletes no current object: {rule}");
    }
    // An upload under way is not taken away.
    let longest =
        template("template.yml")["Parameters"]["BackupDeadlineMinutes"]["MaxValue"].as_u64().unwrap();
    assert!(longest < 2 * 24 * 60);
}

/// What the page says to copy is what the stack would make.
#[test]
fn the_page_has_the_policy_and_the_lifecycle_for_a_bucket_that_is_given() {
    let page = text("docs/backups.md");
    let block = |start: &str| -> Value {
        let block = page
            .split("```json\n")
            .skip(1)
            .find(|block| block.contains(start))
            .unwrap_or_else(|| panic!("{start}"));
        serde_json::from_str(block.split("```").next().unwrap())
            .unwrap_or_else(|error| panic!("{start}: {error}"))
    };
    let said = block("\"Statement\"").to_string().replace("arn:aws:s3:::<bucket>", "${Bucket.Arn}");
    let mut made = json!({"Version": "2012-10-17", "Statement": policy()}).to_string();
    made = made.replace("{\"Fn::GetAtt\":[\"Bucket\",\"Arn\"]}", "\"${Bucket.Arn}\"");
    while let Some((before, after)) = made.split_once("{\"Fn::Sub\":") {
        let (text, rest) = after.split_once('}').map(|_| split_text(after)).unwrap();
        made = format!("{before}{text}{rest}");
    }
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap(), serde_json::from_str::<Value>(&made).unwrap());

    let rules = block("\"Rules\"");
    let rules = rules["Rules"].as_array().unwrap();
    let expired = json!({"ID": "expired-backups", "Status": "Enabled", "Expiration": {"Days": 1},
        "Filter": {"And": {"Prefix": "backups/", "Tags": [{"Key": TAG.0, "Value": TAG.1}]}}});
    let earlier = json!({"ID": "earlier-versions", "Status": "Enabled", "Filter": {},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 7}, "Expiration": {"ExpiredObjectDeleteMarker": true}});
    let uploads = json!({"ID": "uploads-that-were-not-completed", "Status": "Enabled", "Filter": {},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}});
    assert_eq!(*rules, [expired, earlier, uploads]);
}

/// The JSON text at the beginning, and what follows the brace after it.
fn split_text(rest: &str) -> (&str, &str) {
    let end = rest[1..].find('"').unwrap() + 2;
    (&rest[..end], &rest[end + 1..])
}

/// With a bucket that is given the stack makes none, and says nothing about it.
#[test]
fn a_bucket_that_is_given_is_left_as_it_is() {
    let backups = template(BACKUPS);
    for name in ["Bucket", "BucketPolicy"] {
        assert_eq!(backups["Resources"][name]["Condition"], "MakesBucket", "{name}");
    }
    let either = json!({"Fn::If": ["MakesBucket", {"Ref": "Bucket"}, {"Ref": "BackupBucket"}]});
    assert_eq!(backups["Outputs"]["BucketName"]["Value"], either);
    let main = template("template.yml");
    let told = &main["Resources"]["BackupTrigger"]["Properties"]["Environment"]["Variables"]["BACKUP_BUCKET"];
    assert_eq!(*told, json!({"Fn::GetAtt": ["Backups", "Outputs.BucketName"]}));
}

/// The role of a backup: its own part of one bucket, and nothing of the cluster.
#[test]
fn a_backup_reads_and_writes_below_backups_and_finds_no_node() {
    let backups = template(BACKUPS);
    let role = &backups["Resources"]["WorkerRole"]["Properties"];
    assert!(role.get("ManagedPolicyArns").is_none(), "it needs no list of tasks");
    let statements = role["Policies"][0]["PolicyDocument"]["Statement"].as_array().unwrap();
    let [objects, list, key] = &statements[..] else { panic!("three statements: {statements:?}") };
    assert_eq!(actions(objects), ["s3:PutObject", "s3:AbortMultipartUpload", "s3:GetObject"]);
    let below = &objects["Resource"][0]["Fn::If"];
    assert!(
        below[1].to_string().ends_with("/backups/*\"}") && below[2].to_string().ends_with("/backups/*\"}")
    );
    assert_eq!(list["Condition"], json!({"StringLikeIfExists": {"s3:prefix": "backups/*"}}));
    assert_eq!(key["Fn::If"][0], "HasKey");
    for (who, of) in [("WorkerRole", BACKUPS), ("BackupTrigger", "cluster/roles.yml")] {
        let text = template(of)["Resources"][who].to_string();
        // `AmazonS3/latest/userguide/UsingKMSEncryption.html`: a multipart upload takes both.
        assert!(text.contains("[\"kms:GenerateDataKey\",\"kms:Decrypt\"]"), "{who}");
        assert!(
            text.contains("\"kms:ViaService\":{\"Fn::Sub\":\"s3.${AWS::Region}.${AWS::URLSuffix}\"}"),
            "{who}"
        );
    }
}

/// `AmazonECS/latest/developerguide/security_iam_id-based-policy-examples.html`: RunTask is limited by the definition, and by ecs:cluster;
/// PassRole by the service that the roles are passed to.
#[test]
fn the_trigger_starts_this_definition_in_this_cluster_with_these_roles() {
    let roles = template("cluster/roles.yml");
    let statements =
        &roles["Resources"]["BackupTrigger"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"];
    let statements = statements.as_array().unwrap();
    let may = |action: &str| -> &Value {
        let mut found = statements
            .iter()
            .filter(|one| one.get("Fn::If").is_none() && actions(one).contains(&action.into()));
        let one = found.next().unwrap_or_else(|| panic!("nothing allows {action}"));
        assert!(action.starts_with("s3:") || found.next().is_none(), "one statement for {action}");
        one
    };
    let run = may("ecs:RunTask");
    assert!(run["Resource"].to_string().ends_with(":task-definition/${Stack}-backup:*\"}"), "{run}");
    assert_eq!(run["Condition"], json!({"ArnEquals": {"ecs:cluster": {"Ref": "ClusterArn"}}}));
    let pass = may("iam:PassRole");
    assert_eq!(pass["Resource"], json!([{"Ref": "BackupRoleArn"}, {"Ref": "BackupExecutionRoleArn"}]));
    assert_eq!(
        pass["Condition"],
        json!({"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}})
    );
    assert!(may("ecs:StopTask")["Resource"].to_string().contains(":task/${Cluster}/*"));
    let tag = may("s3:PutObjectTagging");
    assert!(tag["Resource"].to_string().ends_with("/backups/*\"}"), "{tag}");
    let key = format!("s3:RequestObjectTag/{}", TAG.0);
    assert_eq!(tag["Condition"], json!({"StringEquals": {key: TAG.1}}), "no other tag");
    // It writes its own state and the owner, never a backup.
    let written: Vec<String> = statements
        .iter()
        .filter(|one| one.get("Fn::If").is_none() && actions(one).contains(&"s3:PutObject".into()))
        .map(|one| one["Resource"]["Fn::Sub"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(written, ["${BucketArn}/backup-trigger/runs.json", "${BackupBucketArn}/owner.json"]);
    let given = &template("template.yml")["Resources"]["Roles"]["Properties"]["Parameters"];
    for (parameter, output) in [
        ("BackupBucketArn", "BucketArn"),
        ("BackupRoleArn", "WorkerRole"),
        ("BackupExecutionRoleArn", "ExecutionRole"),
    ] {
        let output = json!({"Fn::GetAtt": ["Backups", format!("Outputs.{output}")]});
        assert_eq!(given[parameter], json!({"Fn::If": ["HasBackups", output, ""]}));
    }
}

/// Only backups reach the backup servers, and nothing reaches a backup.
#[test]
fn nothing_connects_to_a_backup() {
    let backups = template(BACKUPS);
    let [(_, group)] = of_type(&backups, "AWS::EC2::SecurityGroup")[..] else { panic!("one group") };
    assert!(group.get("SecurityGroupIngress").is_none() && group.get("SecurityGroupEgress").is_none());
    for file in ALL {
        for (name, rule) in of_type(&template(file), "AWS::EC2::SecurityGroupIngress") {
            assert!(
                rule["GroupId"].to_string().contains("Nodes"),
                "{file}: {name} admits connections elsewhere"
            );
            assert_ne!(rule["FromPort"], neo4j::ports::BACKUP, "{file}: {name}");
        }
    }
}

/// `AmazonECS/latest/developerguide/fargate-tasks-services.html`: "The devices, sharedMemorySize, and tmpfs parameters are not supported",
/// "Fargate tasks only support bind mount host volumes". `.../bind-mounts.html`: a volume that is to belong to another user than root has
/// that owner, and a VOLUME, in the image, at the same path.
#[test]
fn the_worker_has_what_fargate_asks_for_and_nothing_that_it_refuses() {
    let backups = template(BACKUPS);
    let [(_, definition)] = of_type(&backups, "AWS::ECS::TaskDefinition")[..] else {
        panic!("one definition")
    };
    assert_eq!(definition["Family"], json!({"Fn::Sub": "${Stack}-backup"}));
    assert_eq!(definition["RequiresCompatibilities"], json!(["FARGATE"]));
    assert_eq!(definition["NetworkMode"], "awsvpc");
    assert_eq!(
        (&definition["Cpu"], &definition["Memory"]),
        (&json!({"Ref": "BackupCpu"}), &json!({"Ref": "BackupMemoryMiB"}))
    );
    assert_eq!(
        definition["RuntimePlatform"]["CpuArchitecture"],
        json!({"Fn::If": ["IsArm", "ARM64", "X86_64"]})
    );
    for volume in definition["Volumes"].as_array().unwrap() {
        assert_eq!(volume.as_object().unwrap().len(), 1, "no path on a host: {volume}");
    }
    let [container] = &definition["ContainerDefinitions"].as_array().unwrap()[..] else {
        panic!("one container")
    };
    assert_eq!((&container["Name"], &container["Command"]), (&"backup".into(), &json!(["backup"])));
    assert_eq!(container["ReadonlyRootFilesystem"], true);
    assert_eq!(container["User"], "7474:7474", "the user of cluster/Dockerfile, never root");
    assert_eq!(container["LinuxParameters"], json!({"Capabilities": {"Drop": ["ALL"]}}), "no tmpfs");
    assert!(container["StopTimeout"].as_u64().unwrap() <= 120, "Fargate has no more");
    for refused in ["Privileged", "DockerSecurityOptions", "ExtraHosts", "Links", "Secrets"] {
        assert!(container.get(refused).is_none(), "{refused}");
    }
    let dockerfile = text("cluster/Dockerfile");
    let volumes = dockerfile.lines().find_map(|line| line.strip_prefix("VOLUME ")).unwrap();
    let volumes: Vec<String> = serde_json::from_str(volumes).unwrap();
    let owned = dockerfile.lines().find(|line| line.contains("--owner neo4j")).unwrap();
    for mount in container["MountPoints"].as_array().unwrap() {
        let path = mount["ContainerPath"].as_str().unwrap();
        assert!(volumes.iter().any(|volume| volume == path), "{path} belongs to root on Fargate");
        assert!(owned.contains(&format!(" {path}")), "{path}: {owned}");
    }
    let logs = &container["LogConfiguration"]["Options"];
    assert_eq!(
        (&logs["mode"], &logs["awslogs-stream-prefix"]),
        (&"non-blocking".into(), &json!({"Fn::Sub": "${Stack}-backup"}))
    );
    let variables = container["Environment"].as_array().unwrap();
    let services = variables.iter().find(|variable| variable["Name"] == "CORE_SERVICES").unwrap();
    assert_eq!(services["Value"], template("cluster/task.yml")["Outputs"]["CoreServices"]["Value"]);
    let secret = variables.iter().find(|variable| variable["Name"].to_string().contains("SECRET"));
    assert_eq!(secret, None, "a backup needs no password");
}

/// A backup that ended rings at once, and those of another stack or of the nodes do not.
#[test]
fn the_end_of_a_backup_rings_and_no_other_task() {
    let main = template("template.yml");
    let pattern =
        &main["Resources"]["BackupTrigger"]["Properties"]["Events"]["BackupEnded"]["Properties"]["Pattern"];
    let detail = &pattern["detail"];
    assert_eq!(
        (&pattern["source"], &pattern["detail-type"]),
        (&json!(["aws.ecs"]), &json!(["ECS Task State Change"]))
    );
    assert_eq!(detail["clusterArn"], json!([{"Fn::GetAtt": ["Cluster", "Arn"]}]));
    assert_eq!(detail["lastStatus"], json!(["STOPPED"]));
    // API_RunTask.html: "The default value is the family name of the task definition (for example, family:my-family-name)."
    assert_eq!(detail["group"], json!([{"Fn::Sub": "family:${AWS::StackName}-backup"}]));
}

/// A Neo4j whose backup tool the worker does not know: no worker, no bucket, no schedule, and an output that says so.
#[test]
fn without_the_tool_of_neo4j_3_there_are_no_backups_and_the_output_says_so() {
    let main = template("template.yml");
    let major = json!({"Fn::Select": [0, {"Fn::Split": [".", {"Ref": "Neo4jVersion"}]}]});
    assert_eq!(main["Conditions"]["HasBackups"], json!({"Fn::Equals": [major, "3"]}));
    for name in ["Backups", "BackupTrigger"] {
        assert_eq!(main["Resources"][name]["Condition"], "HasBackups", "{name}");
    }
    let said = &main["Outputs"]["BackupBucketName"]["Value"]["Fn::If"];
    assert_eq!(said[0], "HasBackups");
    assert_eq!(said[2], json!({"Fn::Sub": "none: Neo4j ${Neo4jVersion} is not backed up"}));
}
