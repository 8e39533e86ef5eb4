//! Networks and the weights that they start from.

use harness::{Bench, convoy};

#[test]
fn a_resnet_starts_from_the_weights_of_another_run() {
    let bench = Bench::new();
    let resnet = |text: String| text.replace("\"small_cnn\"", "\"resnet18\"\nstem = \"cifar\"");
    let ended = bench.run(&bench.spec(1, resnet), 2, &[]).wait();
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    let checkpoint = bench.summary()["checkpoint"].as_str().unwrap().to_owned();
    let export = convoy()
        .args(["checkpoint", "export", &checkpoint, "--out"])
        .arg(bench.folder.path().join("model.safetensors"))
        .output()
        .unwrap();
    assert!(
        export.status.success(),
        "{}",
        String::from_utf8_lossy(&export.stderr)
    );
    let onward =
        |text: String| resnet(text).replace("[data]", "init = \"model.safetensors\"\n[data]");
    let ended = bench.run(&bench.spec(1, onward), 2, &[]).wait();
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    assert!(ended.text.contains("weights: start from"), "{}", ended.text);

    let other = |text: String| onward(text).replace("resnet18", "resnet34");
    let ended = bench.run(&bench.spec(1, other), 2, &[]).wait();
    assert_eq!(ended.code, Some(1), "{}", ended.text);
    assert!(
        ended
            .text
            .contains("does not fit model.name resnet34 with 4 classes"),
        "{}",
        ended.text
    );
}
