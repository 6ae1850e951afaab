package dev.whence.transfer.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.whence.runtime.config.ConfigException;
import dev.whence.runtime.config.Settings;
import dev.whence.schemas.avro.ModelRole;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SubscriptionSettingsTest {
  private static List<TransferConfig.Subscription> read(Map<String, String> values) {
    Settings settings = Settings.of(values);
    List<TransferConfig.Subscription> read = SubscriptionSettings.read(settings);
    settings.finish();
    return read;
  }

  private static Map<String, String> with(String... more) {
    Map<String, String> values = new HashMap<>();
    for (String prefix : List.of("subscription.", "subscriptions.code.")) {
      values.put(prefix + "base", "base");
      values.put(prefix + "fine-tuned", "model-of-" + prefix.length());
      values.put(prefix + "line", "base-.*");
    }
    for (int i = 0; i < more.length; i += 2) {
      values.put(more[i], more[i + 1]);
    }
    return values;
  }

  private static List<String> problems(Map<String, String> values) {
    return catchThrowableOfType(ConfigException.class, () -> read(values)).problems();
  }

  @Test
  void withoutAKeyThereIsNoSubscription() {
    assertThat(read(Map.of())).isEmpty();
  }

  @Test
  void aSingleOneAndNamedOnesAreReadWithLambdaSweepAndPolicies() {
    List<TransferConfig.Subscription> read =
        read(
            with(
                "subscriptions.code.roles", "fast,target",
                "subscriptions.code.aliases", "acme/code",
                "subscriptions.code.lambda", "0.9",
                "subscriptions.code.sweep", "0.8, 1",
                "subscriptions.code.policies", "vocabulary=align, rename a.b=c.d",
                "subscriptions.code.result", "coder"));
    assertThat(read)
        .extracting(TransferConfig.Subscription::requestedBy)
        .containsExactly("subscription", "subscription code");
    TransferConfig.Subscription single = read.get(0);
    assertThat(single.result()).isEqualTo(single.fineTuned());
    assertThat(single.lambda()).isEqualTo(1);
    assertThat(single.sweep()).isEmpty();
    assertThat(single.policies()).isEmpty();
    TransferConfig.Subscription code = read.get(1);
    assertThat(code.roles()).containsExactly(ModelRole.FAST, ModelRole.TARGET);
    assertThat(code.aliases()).containsExactly("acme/code");
    assertThat(code.lambda()).isEqualTo(.9);
    assertThat(code.sweep()).containsExactly(.8, 1.);
    assertThat(code.policies()).isEqualTo(Map.of("vocabulary", "align", "rename a.b", "c.d"));
    assertThat(code.result()).isEqualTo("coder");
  }

  @Test
  void aFileListsSeveralByName(@TempDir Path directory) throws IOException {
    Path file =
        Files.writeString(
            directory.resolve("transfer.yaml"),
            """
            subscriptions:
              support: {base: base-v1, fine-tuned: chat-v1, line: "base-v[0-9]+"}
              code:
                base: base-v1
                fine-tuned: code-v1
                line: "base-v[0-9]+"
                sweep: [0.8, 1]
                policies:
                  - missing=target
            """);
    Settings settings =
        Settings.load(file, Map.of("WHENCE_SUBSCRIPTIONS_CODE_LAMBDA", "0.5"), Map.of());
    List<TransferConfig.Subscription> read = SubscriptionSettings.read(settings);
    settings.finish();
    assertThat(read)
        .extracting(TransferConfig.Subscription::name)
        .containsExactly("code", "support");
    assertThat(read.get(0).policies()).isEqualTo(Map.of("missing", "target"));
    assertThat(read.get(0).lambda()).isEqualTo(.5);
    assertThat(read.get(0).sweep()).containsExactly(.8, 1.);
  }

  @Test
  void everythingThatIsWrongIsListedAtOnce() {
    Map<String, String> values =
        with(
            "subscription.line", "base-[",
            "subscription.lambda", "much",
            "subscription.speed", "high",
            "subscriptions.code.lambda", "NaN",
            "subscriptions.code.sweep", "1,0.5,1,Infinity",
            "subscriptions.code.roles", "judge",
            "subscriptions.code.policies", "missing=perhaps,align,shapes=fail,shapes=target",
            "subscriptions.code.speed", "high",
            "subscriptions.half.base", "base",
            "subscriptions.lambda", "2");
    assertThat(problems(values))
        .anySatisfy(is("subscription.line is no regular expression"))
        .anySatisfy(is("subscription.lambda has 'much', but takes numbers"))
        .anySatisfy(is("unknown key subscription.speed"))
        .anySatisfy(is("subscriptions.code.lambda is NaN, but must be a finite number"))
        .anySatisfy(is("subscriptions.code.sweep has 1.0 more than once"))
        .anySatisfy(is("subscriptions.code.sweep has Infinity, but takes finite numbers only"))
        .anySatisfy(is("subscriptions.code.roles has 'judge', but knows fast and target"))
        .anySatisfy(is("subscriptions.code.policies: policy missing is 'perhaps'"))
        .anySatisfy(is("subscriptions.code.policies has 'align', but takes NAME=VALUE"))
        .anySatisfy(is("subscriptions.code.policies has 'shapes' more than once"))
        .anySatisfy(is("unknown key subscriptions.code.speed: a subscription has base"))
        .anySatisfy(is("subscriptions.half.fine-tuned is not set"))
        .anySatisfy(is("subscriptions.half.line is not set"))
        .anySatisfy(is("subscriptions.lambda has no subscription's name"))
        .hasSize(14);
  }

  @Test
  void twoWhoseResultsWouldHaveTheSameNamesAreRefused() {
    assertThat(problems(with("subscription.result", "x", "subscriptions.code.result", "x")))
        .singleElement()
        .satisfies(is("subscription.* and subscriptions.code.* would give their results the same"));
  }

  @Test
  void aResultThatNoModelCanBeNamedIsRefusedAndTheDefaultIsOneThatCan() {
    assertThat(
            problems(
                with(
                    "subscription.result",
                    "acme/chat",
                    "subscriptions.code.result",
                    "x".repeat(101))))
        .anySatisfy(is("subscription.result is 'acme/chat', but must have 1 to 100 characters"))
        .anySatisfy(is("subscriptions.code.result is 'xxx"))
        .hasSize(2);
    assertThat(problems(with("subscription.fine-tuned", "/")))
        .singleElement()
        .satisfies(is("subscription.result is '', but must have"));
    assertThat(read(with("subscription.fine-tuned", "acme/chat v1")))
        .first()
        .extracting(TransferConfig.Subscription::result, TransferConfig.Subscription::fineTuned)
        .containsExactly("acme-chat-v1", "acme/chat v1");
  }

  @Test
  void aPartOfASubscriptionIsNoSubscription() {
    assertThat(problems(Map.of("subscription.roles", "fast")))
        .anySatisfy(is("subscription.base is not set"))
        .anySatisfy(is("subscription.fine-tuned is not set"))
        .anySatisfy(is("subscription.line is not set"))
        .hasSize(3);
  }

  private static java.util.function.Consumer<String> is(String begin) {
    return problem -> assertThat(problem).startsWith(begin);
  }
}
