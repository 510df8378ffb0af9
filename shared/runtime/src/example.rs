//! An example of what the programs are given, for their tests: a stack of three core slots, and a function in Lambda.

/// What the template sets for every program.
pub const CLUSTER: [(&str, &str); 5] = [
    ("DIALECT", "HA"),
    ("NEO4J_VERSION", "3.4.6"),
    ("CLUSTER", "c"),
    ("STACK", "s"),
    ("CORE_SERVICES", "core-1,core-2,core-3"),
];

/// What Lambda sets for every function, but for the address of its Runtime API.
pub const LAMBDA: [(&str, &str); 6] = [
    ("AWS_REGION", "us-east-1"),
    ("AWS_LAMBDA_FUNCTION_NAME", "f"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "s"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "g"),
];

/// What the template sets for the node program once its user has accepted Neo4j's licence.
pub const LICENSE: (&str, &str) = ("NEO4J_ACCEPT_LICENSE_AGREEMENT", "yes");
