//! API calls above the rate of their action.
//!
//! `general/ssm` of AWS's general reference: PutParameter has three transactions a second by default; the error is `ThrottlingException: Rate
//! exceeded`.

use std::time::Instant;

use crate::account::Account;
use serde_json::json;

#[tokio::test]
async fn calls_above_the_rate_are_throttled_and_not_done() {
    let account = Account::start("rates").await;
    let put = async |name: &str| {
        let body = json!({"Name": name, "Value": "v", "Type": "String"});
        account.json("ssm", "AmazonSSM.PutParameter", &body).await
    };
    account.gateway.rates.limit("ssm", "PutParameter", 3.0, 3.0);
    let begun = Instant::now();
    let (mut done, mut throttled) = (0, 0);
    for number in 0..20 {
        let name = format!("/p/{number}");
        loop {
            let (status, answer) = put(&name).await;
            if status == 200 {
                break done += 1;
            }
            throttled += 1;
            assert_eq!((status, &answer["__type"]), (400, &json!("ThrottlingException")));
            assert_eq!(answer["message"], "Rate exceeded");
            let (_, found) = account.json("ssm", "AmazonSSM.GetParameter", &json!({"Name": name})).await;
            assert_eq!(found["__type"], "ParameterNotFound", "it was done, or another action is throttled");
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    assert!(throttled > 0 && f64::from(done) <= 3.0 + 3.0 * seconds + 1.0, "{done} in {seconds} s");
    account.gateway.rates.lift();
    assert_eq!(put("/p/last").await.0, 200);
    assert_eq!(put("/p/very-last").await.0, 200);
}
