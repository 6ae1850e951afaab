package dev.whence.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.samples.BundledModels;
import dev.whence.transfer.gate.GateOptions;
import dev.whence.transfer.gate.GatedTransfer;
import dev.whence.transfer.gate.Gates;
import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.MergeRun;
import dev.whence.transfer.merge.StoppedException;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.merge.TransferRequest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** One line of options for plan, run, verify, inspect and resume, and what each makes of it. */
class TransferLineTest {
  @TempDir Path directory;
  private Path output;

  @BeforeEach
  void place() {
    output = directory.resolve("chat-v2");
  }

  private CommandRun line(String verb, String... more) {
    return CommandRun.of(
        Stream.concat(
                Stream.of(
                    "transfer",
                    verb,
                    "--base",
                    "base-v1",
                    "--fine-tuned",
                    "chat-v1",
                    "--target",
                    "base-v2",
                    "--output",
                    output.toString()),
                Stream.of(more))
            .toArray(String[]::new));
  }

  private static TransferRequest request() throws IOException {
    return TransferRequest.of(
        BundledModels.unpack("base-v1"),
        BundledModels.unpack("chat-v1"),
        BundledModels.unpack("base-v2"));
  }

  /** As after a kill: ends at the first piece after the third. */
  private static MergeOptions stopping() {
    AtomicInteger asked = new AtomicInteger();
    return MergeOptions.defaults().withWorkers(1).withStop(() -> asked.incrementAndGet() > 3);
  }

  private void cutOff() throws IOException {
    try (TransferPlan plan = TransferPlan.of(request())) {
      assertThatThrownBy(() -> MergeRun.run(plan, output, stopping(), MergeProgress.NONE))
          .isInstanceOf(StoppedException.class);
    }
  }

  private List<String> hidden() throws IOException {
    try (var all = Files.list(directory)) {
      return all.map(path -> path.getFileName().toString())
          .filter(name -> name.startsWith("."))
          .toList();
    }
  }

  @Test
  void theLineOfTheInterfaceIsTakenByAllFiveVerbs() throws Exception {
    CommandRun planned = line("plan", "--lambda", "1");
    assertThat(planned.exit()).isZero();
    assertThat(planned.out())
        .contains(output + ": free")
        .anySatisfy(line -> assertThat(line).matches("space: \\d+ bytes are needed, the disk.*"));
    assertThat(output).doesNotExist();
    assertThat(hidden()).isEmpty();

    assertThat(line("run", "--lambda", "1").exit()).isZero();
    CommandRun again = line("plan", "--lambda", "1");
    assertThat(again.exit()).isZero();
    assertThat(again.out())
        .contains(output + ": holds this transfer already, a run has nothing to do");

    CommandRun verified = line("verify", "--lambda", "1");
    assertThat(verified.exit()).isZero();
    assertThat(verified.out()).containsExactly(output + " is what its manifest says");
    CommandRun inspected = line("inspect", "--lambda", "1");
    assertThat(inspected.exit()).isZero();
    assertThat(String.join("\n", inspected.out())).contains("\"madeFrom\"");
    CommandRun resumed = line("resume", "--lambda", "1");
    assertThat(resumed.exit()).isEqualTo(1);
    assertThat(resumed.err())
        .containsExactly(
            "whence: there is no unfinished transfer to " + output + ": nothing to resume");
  }

  @Test
  void aRunThatWasCutOffIsSeenByPlanAndGoneOnWithByResume() throws Exception {
    cutOff();
    CommandRun planned = line("plan");
    assertThat(planned.exit()).isZero();
    assertThat(planned.out())
        .contains(output + ": an unfinished run of this plan, a run or 'resume' goes on with it");
    assertThat(line("plan", "--lambda", "0.5").out())
        .contains(
            output
                + ": an unfinished run of another plan, which a run removes and 'resume' goes on"
                + " with");

    CommandRun other = line("resume", "--lambda", "0.5", "--policy", "missing=target");
    assertThat(other.exit()).isEqualTo(1);
    assertThat(other.err())
        .containsExactly(
            "whence: the unfinished transfer to " + output + " has lambda 1.0, not 0.5",
            "whence: the unfinished transfer to "
                + output
                + " has the policy missing fail, not target");
    CommandRun models =
        CommandRun.of("transfer", "resume", "--output", output.toString(), "--target", "base-v1");
    assertThat(models.exit()).isEqualTo(1);
    assertThat(models.err()).hasSize(1);
    assertThat(models.err().get(0)).contains("as its target model, not");
    assertThat(output).doesNotExist();

    CommandRun resumed = line("resume", "--lambda", "1");
    assertThat(resumed.err()).isEmpty();
    assertThat(resumed.exit()).isZero();
    assertThat(resumed.out()).hasSize(1);
    assertThat(line("verify").exit()).isZero();
    assertThat(hidden()).isEmpty();
  }

  @Test
  void whatAResultWasNotMadeFromIsSaidInOneSentenceEach() throws Exception {
    assertThat(line("run").exit()).isZero();
    for (String verb : List.of("verify", "inspect")) {
      CommandRun factor = line(verb, "--lambda", "0.5");
      assertThat(factor.exit()).isEqualTo(1);
      assertThat(factor.err()).containsExactly("whence: " + output + " has lambda 1.0, not 0.5");
      CommandRun both =
          CommandRun.of(
              "transfer",
              verb,
              "--output",
              output.toString(),
              "--base",
              "base-v2",
              "--target",
              "base-v1",
              "--fine-tuned",
              "chat-v1");
      assertThat(both.exit()).isEqualTo(1);
      assertThat(both.err()).hasSize(2);
      assertThat(both.err().get(0)).contains("base-v1 (digest ").contains("as its base model, not");
      assertThat(both.err().get(1)).contains("as its target model, not");
    }
    assertThat(CommandRun.of("transfer", "inspect", "--diff", "d", "--lambda", "1").exit())
        .isEqualTo(2);
    assertThat(line("verify", "--policy", "missing=perhaps").exit()).isEqualTo(2);
  }

  @Test
  void severalLambdasAreVerifiedAndInspectedByTheLineThatMadeThem() {
    assertThat(line("run", "--lambda", "0.5,1").exit()).isZero();
    CommandRun verified = line("verify", "--lambda", "0.5,1");
    assertThat(verified.err()).isEmpty();
    assertThat(verified.out())
        .containsExactly(
            output.resolve("lambda-0.5") + " is what its manifest says",
            output.resolve("lambda-1.0") + " is what its manifest says");
    assertThat(line("inspect", "--lambda", "1,0.5").exit()).isZero();
    assertThat(line("verify", "--lambda", "0.5,2").err())
        .containsExactly("whence: " + output + " has lambda 0.5 and 1.0, not 0.5 and 2.0");
  }

  @Test
  void planSaysThatAnOutputIsOccupiedAndEndsAsARunWould() throws Exception {
    Files.createDirectories(output);
    Files.writeString(output.resolve("something"), "else");
    CommandRun planned = line("plan");
    assertThat(planned.exit()).isEqualTo(1);
    assertThat(planned.out()).contains(output + ": occupied");
    assertThat(planned.err()).isEqualTo(line("run").err());
    assertThat(planned.err()).hasSize(1);
  }

  /** A rename would put the result in the link's place, or beside what it leads to. */
  @Test
  void aLinkIsNoOutput() throws Exception {
    Path empty = Files.createDirectory(directory.resolve("empty"));
    for (Path to : List.of(empty, directory.resolve("nowhere"))) {
      Files.createSymbolicLink(output, to);
      for (String verb : List.of("plan", "run")) {
        CommandRun refused = line(verb);
        assertThat(refused.exit()).isEqualTo(1);
        assertThat(refused.err())
            .containsExactly(
                "whence: " + output + " is a link: give the directory that it leads to");
      }
      CommandRun extracted =
          CommandRun.of(
              "transfer",
              "extract",
              "--base",
              "base-v1",
              "--fine-tuned",
              "chat-v1",
              "--output",
              output.toString());
      assertThat(extracted.exit()).isEqualTo(1);
      assertThat(Files.isSymbolicLink(output)).isTrue();
      assertThat(hidden()).isEmpty();
      Files.delete(output);
    }
    assertThat(empty).isEmptyDirectory();
    assertThat(directory.resolve("nowhere")).doesNotExist();
  }

  private GatedTransfer gated(MergeOptions options, GateOptions sets) {
    Gates gates =
        new Gates(
            (model, set) -> {
              if (model.toString().endsWith("whence-candidate")) {
                throw new StoppedException();
              }
              return 1;
            },
            sets,
            MergeOptions.defaults(),
            what -> {});
    return new GatedTransfer(options, MergeProgress.NONE, gates);
  }

  @Test
  void resumeOfARunWithGatesSaysWhatGoesOnWithItAndARunWithoutGatesClearsItAway() throws Exception {
    Path task = Files.writeString(directory.resolve("task.jsonl"), "{}");
    Path general = Files.writeString(directory.resolve("general.jsonl"), "{}");
    GateOptions sets = GateOptions.of(task, general);
    TransferRequest request = request();
    // Cut off while it merges, and while it measures.
    for (MergeOptions options : List.of(stopping(), MergeOptions.defaults())) {
      assertThatThrownBy(() -> gated(options, sets).run(request, output, (manifest, report) -> {}))
          .isInstanceOf(StoppedException.class);
      CommandRun resumed = line("resume");
      assertThat(resumed.exit()).isEqualTo(1);
      assertThat(resumed.err()).hasSize(1);
      assertThat(resumed.err().get(0))
          .contains("was cut off in a run with gates")
          .contains("give the same 'transfer run --gates' command again");
      assertThat(line("plan").out())
          .contains(
              output
                  + ": a run with gates was cut off, the same run goes on with it, a run without"
                  + " gates removes it")
          .doesNotContain(output + ": free");
    }
    assertThat(hidden()).isNotEmpty();

    assertThat(line("run").exit()).isZero();
    assertThat(hidden()).isEmpty();
    assertThat(line("verify").exit()).isZero();
  }

  private CommandRun gated(String... more) throws Exception {
    List<String> all =
        new ArrayList<>(
            List.of(
                "--gates",
                "--task-set",
                Files.writeString(directory.resolve("task.jsonl"), "{}").toString(),
                "--general-set",
                Files.writeString(directory.resolve("general.jsonl"), "{}").toString()));
    all.addAll(List.of(more));
    return line("run", all.toArray(String[]::new));
  }

  @Test
  void aJudgeThatTakesLongerThanItMayIsGivenUpBeforeTheMerge() throws Exception {
    Path judge = Files.writeString(directory.resolve("judge.sh"), "sleep 100\n");
    CommandRun run = gated("--judge", "sh," + judge, "--judge-timeout", "1");
    assertThat(run.exit()).isEqualTo(1);
    assertThat(run.err()).last().asString().contains("took more than 1 s");
    assertThat(hidden()).isEmpty();
    assertThat(gated("--judge-timeout", "0").exit()).isEqualTo(2);
  }

  @Test
  void aReportThatCanNotBeWrittenIsWrongUsageBeforeAnythingIsMerged() throws Exception {
    for (Path report : List.of(directory.resolve("none/gates.html"), directory)) {
      CommandRun run = gated("--judge", "sh,-c,echo 1", "--report", report.toString());
      assertThat(run.exit()).isEqualTo(2);
      assertThat(run.err())
          .anySatisfy(
              line -> assertThat(line).contains("--report '" + report + "' can not be written"));
      assertThat(output).doesNotExist();
    }
  }

  @Test
  void theSweepIsPrintedAndTheReportHasItsCurves() throws Exception {
    Path judge = directory.resolve("judge.sh");
    Files.writeString(
        judge,
        """
        case "$1:$2" in
          *sweep*lambda-0.25:*) echo 1.25 ;;
          *base-v2*:*task.jsonl) echo 4 ;;
          *) echo 1 ;;
        esac
        """);
    Path report = directory.resolve("gates.html");
    CommandRun run =
        line(
            "run",
            "--gates",
            "--task-set",
            Files.writeString(directory.resolve("task.jsonl"), "{}").toString(),
            "--general-set",
            Files.writeString(directory.resolve("general.jsonl"), "{}").toString(),
            "--judge",
            "sh," + judge,
            "--sweep",
            "0.25,0.5",
            "--report",
            report.toString());
    assertThat(run.exit()).isZero();
    assertThat(run.out())
        .anySatisfy(
            line ->
                assertThat(line)
                    .matches("lambda +0\\.25 +task 1\\.2500, general 1\\.2500 nats per token"))
        .anySatisfy(
            line ->
                assertThat(line)
                    .matches("lambda +0\\.5 +task 1\\.0000, general 1\\.0000 nats per token"));
    assertThat(Files.readString(report).split("<svg", -1)).hasSize(3);
  }
}
