//! The stack as it was deployed.

use local::{control::HTTP_PORT, demo, deploy, templates};
use serde_json::json;

use super::{Outcome, Stage, count, master, rest, status, wait, write};

pub fn forms_and_rests(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        demo::form(cloud).await?;
        // No invocation here: the schedule that the template made has to bring it to rest.
        demo::at_rest(cloud, super::PATIENCE).await.map(drop)
    })
}

pub fn left_out(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let template = std::fs::read_to_string(cloud.layout.root.join("template.yml"));
        let template = templates::without_listed_types(&template.map_err(|error| error.to_string())?);
        let (expected, said) =
            (template.map_err(|error| error.to_string())?.dropped, status(cloud).await.left_out);
        if expected.is_empty() || !expected.iter().all(|resource| said.contains(resource)) {
            return Err(format!("{expected:?} should have been left out, {said:?} was said"));
        }
        let target = "AmazonEC2ContainerServiceV20141113.ListServices";
        let request = json!({"cluster": deploy::STACK, "maxResults": 100});
        let services = cloud.gateway.emulator.json("ecs", target, &request).await;
        let services = services.map_err(|error| error.to_string())?;
        let count = services["serviceArns"].as_array().map_or(0, Vec::len);
        if count != demo::CORE_SIZE {
            return Err(format!("{count} services instead of one for each of the {} slots", demo::CORE_SIZE));
        }
        Ok(())
    })
}

pub fn writes(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let before = rest(cloud).await?;
        write(cloud, 1).await?;
        let (_, address, _) = master(&before)?;
        match count((address, HTTP_PORT).into(), 1).await? {
            1 => {}
            other => return Err(format!("the write is {other} times on the master")),
        }
        // Slaves pull every second.
        for node in status(cloud).await.nodes {
            wait(&format!("the write on {}", node.service), || async {
                (count((node.address, HTTP_PORT).into(), 1).await == Ok(1)).then_some(())
            })
            .await?;
        }
        Ok(())
    })
}
