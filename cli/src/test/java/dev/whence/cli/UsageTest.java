package dev.whence.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

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

  /** The list of a command's parts shows the first line of each. */
  @Test
  void theFirstLineOfACommandsHelpIsASentence() {
    assertFirstLines(new CommandLine(new Whence()));
  }

  private static void assertFirstLines(CommandLine command) {
    assertThat(command.getCommandSpec().usageMessage().description()[0])
        .as(command.getCommandSpec().qualifiedName())
        .matches("[A-Z].*[.?]");
    command
        .getSubcommands()
        .forEach(
            (name, part) -> {
              if (!name.equals("help") && !name.equals("generate-completion")) { // picocli's own
                assertFirstLines(part);
              }
            });
  }

  @Test
  void aCommandWhoseOutputIsNotTakenHasFailed() {
    StringWriter err = new StringWriter();

    int exit =
        Whence.execute(new PrintWriter(new ClosedPipe()), new PrintWriter(err, true), "--version");

    assertThat(exit).isEqualTo(1);
    assertThat(err.toString().lines())
        .singleElement()
        .asString()
        .startsWith("whence: standard output can not be written");
  }

  @Test
  void theOptionThatNamesNoFileIsNamed() {
    CommandRun run =
        CommandRun.of(
            "influence",
            "index",
            "--model",
            "m",
            "--factors",
            "f",
            "--output",
            "o",
            "--corpus",
            "no-such-corpus.jsonl");
    assertThat(run.exit()).isEqualTo(2);
    assertThat(String.join("", run.err()))
        .contains("--corpus 'no-such-corpus.jsonl' is not a file");
  }

  @Test
  void everyCommandHasItsRowInTheReadme() throws Exception {
    List<String> rows =
        Files.readAllLines(Path.of("README.md")).stream()
            .filter(line -> line.startsWith("| `"))
            .map(line -> line.substring(0, line.indexOf('|', 1)))
            .toList();
    Map<String, CommandLine> commands = new CommandLine(new Whence()).getSubcommands();
    commands.forEach(
        (name, command) -> {
          if (name.equals("help") || name.equals("generate-completion")) {
            return; // picocli's own
          }
          Set<String> parts = command.getSubcommands().keySet();
          if (parts.isEmpty()) {
            assertThat(rows).anyMatch(row -> row.contains("`" + name + "`"));
          }
          assertThat(parts)
              .allSatisfy(
                  part ->
                      assertThat(rows)
                          .anyMatch(
                              row ->
                                  row.contains("`" + name + " ")
                                      && (row.contains(" " + part + "`")
                                          || row.contains("`" + part + "`"))));
        });
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
    "attribute --model m --input f --top-k -1, --top-k is -1",
    "attribute --model m --input f --max-cost -1, the maximal cost is -1.0 s",
    "attribute --model m --input f --max-cost NaN, the maximal cost is NaN s",
    "attribute --model m --input f --deadline 0, --deadline is 0.0 s",
    "attribute --model m --input f --deadline 1e-10, --deadline is 1.0E-10 s",
    "attribute --model m --input f --keep-paragraphs 0, --keep-paragraphs is 0",
    "attribute --model m --input f --keep-paragraphs 10001, at least 1 and at most 10000",
    "attribute --model m --input f --heal -1, --heal is -1",
    "attribute --model m --input f --exact-top 0, --exact-top is 0",
    "attribute --model m --input f --exact-top 10001, --exact-top is 10001",
    "attribute --model m --input f --masks 1, --masks is 1",
    "attribute --model m --input f --masks 999999999, at least 2 and at most 10000",
    "attribute --model m --input f --seed x, '--seed'",
    "attribute --model m --input f --method guess, the attribution method 'guess'",
    "attribute --model m --input f --method proxy, needs a --proxy",
    "attribute --model m --input f --method proxy --proxy-method guess, method 'guess'",
    "attribute --model m --input f --method proxy --proxy-method attention, only rank",
    "attribute --model m --input f --proxy m2, --proxy belongs to --method proxy or proxy-pruning",
    "attribute --model m --input f --token-logprobs, --token-logprobs belongs to --json",
    "attribute --model m --input f --context-pattern (, the context pattern",
    "generate --model m --input f --max-new-tokens 0, --max-new-tokens is 0",
    "generate --model tiny-chat --input README.md --max-new-tokens 99999999,"
        + " --max-new-tokens is 99999999",
    "train --from tiny-base --output o --corpus README.md --learning-rate 1e30,"
        + " above 0 and below 1000000",
    "train base-v1 --write-corpus /nope/x.jsonl, --write-corpus '/nope/x.jsonl' can not be written",
    "train base-v1 --write-mixture /nope/x.jsonl, --write-mixture '/nope/x.jsonl' can not be",
    "dlq show --bootstrap-server b:1 --partition -1, --partition is -1",
    "dlq show --bootstrap-server b:1 --from -1, --from -1 selects nothing",
    "dlq replay --bootstrap-server b:1 --from 5 --to 4, --from 5 --to 4 selects nothing",
    "quickstart --rate NaN, the rate is NaN",
    "quickstart --rate 0, the rate is 0.0",
    "quickstart --topics-only --responses 3, topics only means that nothing answers",
    "quickstart --topics-only --rate 1, topics only means that nothing answers",
    "quickstart --bootstrap-port 70000, the bootstrap port is 70000",
    "quickstart --registry-port -1, the registry port is -1",
    "replay --input README.md --rate -1, 'the rate, -1.0 lines per second'",
    "replay --input README.md --rate NaN, 'the rate, NaN lines per second'",
    "replay --input README.md --patience 0, 'the patience, PT0S'",
    "bench exact --model README.md --input README.md --repeat 0, repeat",
    "bench exact --model README.md --input README.md --line -1, line",
    "bench stream --rate NaN, perSecond may not be negative",
    "bench stream --responses 0, responses",
    "influence factors --model m --corpus README.md --output o --layers (, 'selection \"(\"'",
    "transfer plan --base a --fine-tuned b --target c --output o --lambda NaN, --lambda is NaN",
    "transfer verify --output o --lambda Infinity, --lambda is Infinity",
    "'transfer recycle --bases a,b --corpus README.md --evaluation README.md --output o --steps 0',"
        + " --steps is 0",
    "'transfer recycle --bases a,b --corpus README.md --evaluation README.md --output o --direct -1',"
        + " --direct is -1",
    "train --from tiny-base --output o --corpus README.md --steps 0, --steps is 0",
    "train --from tiny-base --output o --corpus README.md --examples 2147483647, --examples is 214",
    "train --from tiny-base --output o --corpus README.md --pack-tokens -1, --pack-tokens is -1",
    "influence factors --model m --corpus README.md --output o --pack-tokens 0, --pack-tokens is 0",
    "influence index --model m --factors f --corpus README.md --output o --shards 0, --shards is 0",
    "influence index --model m --factors f --corpus README.md --output o --shard 2, --shard is 2",
    "influence index --model m --factors f --corpus README.md --output o --buckets -1, --buckets is",
    "influence index --model m --factors f --corpus README.md --output o --measure x, measure",
    "bench fidelity --model m --minutes 9223372036854775807, --minutes is 9223372036854775807",
    "bench fidelity --model m --minutes -1, --minutes is -1",
    "'bench fidelity --model README.md --methods exact,nosuch', no method begins so: [nosuch]",
    "bench fidelity --model README.md --methods proxy, without a proxy no method begins so: [proxy]",
    "'bench speed --model README.md --methods exact,nosuch', no method begins so: [nosuch]",
    "bench speed --model README.md --methods BM25, no method that runs a model begins so: [BM25]",
    "bench confidence --model README.md --fast-method nosuch, the attribution method 'nosuch'",
    "bench confidence --model README.md --fast-method proxy, 'the method ''proxy'' needs a second'",
    "bench confidence --model README.md --fast-method attention, are not in nats",
    "bench confidence --max-new-tokens 0, --max-new-tokens is 0",
    "bench confidence --fast-method exact-loo, --fast-method exact-loo is what the target does",
    "bench influence --buckets 0, --buckets is 0",
    "bench influence --recall --scan, measured one by one",
    "'bench influence --recall --lambda 1x,2x', --recall takes one --lambda",
    "bench fidelity --model m --paragraphs 3, --paragraphs is of questions in --input",
    "bench transfer --directory nowhere/x --gigabytes Infinity, --gigabytes is Infinity",
    "bench transfer --directory nowhere/x --lambda NaN, --lambda is NaN",
    "attribute --model m --input s3://bucket/x, --input': 's3://bucket/x' does not",
    "bench exact --model m --input README.md --report s3://bucket/r.md, --report': 's3://bucket/r.md' does not",
    "transfer run --base a --fine-tuned b --target c --output o --report s3://bucket/r, --report': 's3://",
    "transfer extract --base a --fine-tuned b --output s3://bucket/d, --output': 's3://bucket/d' does not",
    "serve attribution --config s3://bucket/c.yaml, --config': 's3://bucket/c.yaml' does not",
    "topics --kafka-config s3://bucket/c --schema-registry http://r, --kafka-config': 's3://",
    "transfer inspect --diff d --svg s3://bucket/x.svg, --svg': 's3://bucket/x.svg' does not",
    "serve monitor, serve monitor is not part of this version",
    "serve monitor --config README.md, serve monitor is not part of this version",
  })
  void wrongUsageIsOneSentenceAndEndsWithTwo(String arguments, String sentence) {
    CommandRun run = CommandRun.of(arguments.isEmpty() ? new String[0] : arguments.split(" ", -1));
    assertThat(run.exit()).isEqualTo(2);
    assertThat(run.err()).hasSize(1);
    assertThat(run.err().get(0)).contains(sentence);
    assertThat(run.out()).isEmpty();
  }

  @Test
  void theNameOfAMethodMayHaveACommaBeforeASpace() {
    CommandRun run =
        CommandRun.of(
            "bench", "fidelity", "--model", "README.md", "--methods", "splice, w = 16,nosuch");
    assertThat(run.err()).singleElement().asString().contains("no method begins so: [nosuch]");
  }

  /** An empty path would be the directory that one happens to be in. */
  @Test
  void anOptionWithoutAValueIsWrongUsage() {
    for (List<String> command :
        List.of(
            List.of("--output", "influence", "factors", "--model", "m", "--corpus", "README.md"),
            List.of("--input", "attribute", "--model", "m"),
            List.of(
                "--layers",
                "influence",
                "factors",
                "--model",
                "m",
                "--corpus",
                "README.md",
                "--output",
                "o"),
            List.of("--code", "dlq", "show", "--bootstrap-server", "b:1"),
            List.of("--model", "influence", "factors", "--corpus", "README.md", "--output", "o"))) {
      List<String> words = new ArrayList<>(command.subList(1, command.size()));
      words.addAll(List.of(command.get(0), ""));
      CommandRun run = CommandRun.of(words.toArray(String[]::new));
      assertThat(run.exit()).as("%s: %s", words, run.err()).isEqualTo(2);
      assertThat(run.err()).singleElement().asString().contains("empty");
    }
  }

  /** Of a file that somebody else wrote. */
  @Test
  void namesThatAreQuotedCanNotMoveTheCursor() throws Exception {
    Path input = Files.writeString(directory.resolve("in.jsonl"), "{}\n");
    CommandRun run =
        CommandRun.of(
            "influence",
            "query",
            "--index",
            directory.resolve("no\u001b[2J\u0007where\rx").toString(),
            "--input",
            input.toString());
    assertThat(run.exit()).isEqualTo(1);
    assertThat(run.err())
        .singleElement()
        .asString()
        .contains("no\ufffd[2J\ufffdwhere")
        .matches("[^\\p{Cc}]*");
    CommandRun usage = CommandRun.of("attribute", "--model", "m", "--input", "a\u001b[31m");
    assertThat(usage.exit()).isEqualTo(2);
    assertThat(usage.err()).singleElement().asString().contains("[31m").matches("[^\\p{Cc}]*");
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
    assertThat(run.err())
        .hasSizeGreaterThan(3)
        .allMatch(line -> line.startsWith("whence: "))
        .anyMatch(line -> line.contains("unknown key unknown-key"))
        .anyMatch(line -> line.startsWith("whence: kafka.bootstrap.servers is not set"))
        .anyMatch(line -> line.startsWith("whence: registry.url is not set"))
        .noneMatch(line -> line.contains("errors in the configuration"));
  }

  @Test
  void aProcessorWhoseModelIsNowhereIsOneSentenceAndEndsWithOne() throws Exception {
    Path config =
        Files.writeString(
            directory.resolve("nowhere.yaml"),
            """
            kafka.bootstrap.servers: 127.0.0.1:1
            registry.url: http://127.0.0.1:1
            data.dir: %s
            http.port: -1
            model: nowhere/model-x
            """
                .formatted(directory));
    CommandRun run = CommandRun.of("serve", "attribution", "--config", config.toString());
    assertThat(run.exit()).isEqualTo(1);
    assertThat(run.out()).isEmpty();
    assertThat(run.err()).hasSize(1);
    assertThat(run.err().get(0)).contains("nowhere/model-x");
  }

  @Test
  void influenceIsServedWithAConfigurationOfItsOwn() throws Exception {
    Path config =
        Files.writeString(
            directory.resolve("influence.yaml"), "query: {alpha: -1}\nroles: [query, index]\n");
    CommandRun run = CommandRun.of("serve", "influence", "--config", config.toString());
    assertThat(run.exit()).isEqualTo(1);
    assertThat(run.err()).allMatch(line -> line.startsWith("whence: "));
    assertThat(String.join("\n", run.err()))
        .contains(
            "query.alpha",
            "must be above 0",
            "roles has 'index'",
            "indexes is not set",
            "registry");
  }

  @Test
  void aHeapThatIsTooSmallIsNamedWithTheVariableThatMakesItLarger() {
    assertThat(Failure.outOfMemory(new OutOfMemoryError("Java heap space"), 2L << 30))
        .isEqualTo(
            "out of memory (Java heap space); the heap may have 2048 MiB, and"
                + " WHENCE_JAVA_OPTS=-Xmx4g, for example, gives it more");
  }
}
