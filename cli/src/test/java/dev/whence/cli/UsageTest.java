package dev.whence.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class UsageTest {
  @TempDir private Path directory;

  @Test
  void helpListsTheCommandsAndEndsWithZero() {
    CommandRun run = CommandRun.of("--help");
    assertThat(run.exit()).isZero();
    assertThat(String.join("\n", run.out()))
        .contains(
            "quickstart",
            "attribute",
            "generate",
            "replay",
            "topics",
            "dlq",
            "serve",
            "train",
            "transfer",
            "influence",
            "compress",
            "bench");
    assertThat(run.err()).isEmpty();
  }

  @ParameterizedTest
  @CsvSource({
    "'', a command is missing",
    "frobnicate, Unmatched argument at index 0: 'frobnicate'",
    "attribute, Missing required options",
    "serve, which processor",
    "bench, or 'datamodel' is missing",
    "transfer, or 'rollback' is missing",
    "influence, query or export is missing",
    "topics, --bootstrap-server is missing",
    "topics --bootstrap-server b:1 --schema-registry http://me:secret@r, the registry's address",
    "replay, Missing required option",
    "dlq show, --bootstrap-server is missing",
    "quickstart --responses 0, the number of responses is 0",
    "quickstart --input no-such-file.jsonl, --input 'no-such-file.jsonl' is not a file",
    "attribute --model m --input no-such-file.jsonl, --input 'no-such-file.jsonl' is not a file",
  })
  void wrongUsageIsOneSentenceAndEndsWithTwo(String arguments, String sentence) {
    CommandRun run = CommandRun.of(arguments.isEmpty() ? new String[0] : arguments.split(" ", -1));
    assertThat(run.exit()).isEqualTo(2);
    assertThat(run.err()).hasSize(1);
    assertThat(run.err().get(0)).contains(sentence);
    assertThat(run.out()).isEmpty();
  }

  @Test
  void aModelThatIsNowhereIsOneSentenceAndEndsWithOne() throws Exception {
    Path input = Files.writeString(directory.resolve("in.jsonl"), "{}\n");
    CommandRun run =
        CommandRun.of("attribute", "--model", "nowhere/model-x", "--input", input.toString());
    assertThat(run.exit()).isEqualTo(1);
    assertThat(run.err()).hasSize(1);
    assertThat(run.err().get(0)).contains("nowhere/model-x");
  }

  @Test
  void aConfigurationWithSeveralErrorsNamesThemAllAtOnce() throws Exception {
    Path config =
        Files.writeString(
            directory.resolve("whence.yaml"), "sampling: {rate: 7}\nunknown-key: 1\n");
    CommandRun run = CommandRun.of("serve", "attribution", "--config", config.toString());
    assertThat(run.exit()).isEqualTo(1);
    assertThat(run.err()).hasSize(1);
    assertThat(run.err().get(0)).contains("unknown-key", "kafka.bootstrap.servers", "registry.url");
  }

  @Test
  void influenceIsServedWithAConfigurationOfItsOwn() throws Exception {
    Path config =
        Files.writeString(
            directory.resolve("influence.yaml"), "query: {alpha: -1}\nroles: [query, index]\n");
    CommandRun run = CommandRun.of("serve", "influence", "--config", config.toString());
    assertThat(run.exit()).isEqualTo(1);
    assertThat(run.err()).hasSize(1);
    assertThat(run.err().get(0))
        .contains(
            "query.alpha",
            "must be above 0",
            "roles has 'index'",
            "indexes is not set",
            "registry");
  }
}
