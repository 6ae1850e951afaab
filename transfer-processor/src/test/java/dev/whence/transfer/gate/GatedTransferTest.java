package dev.whence.transfer.gate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.weights.SafetensorsShards;
import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.Manifest;
import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.ModelFolder;
import dev.whence.transfer.merge.OutputState;
import dev.whence.transfer.merge.Sparse;
import dev.whence.transfer.merge.TransferRequest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

/** What a transfer with gates refuses, publishes, and leaves as a candidate. */
class GatedTransferTest extends TinyTransfer {
  @Test
  void whatCanNotBeTransferredIsRefusedWithAllReasonsBeforeAnythingIsMeasured() throws IOException {
    String lacking = "model.layers.0.b";
    TransferRequest request =
        TransferRequest.of(
                new ModelFolder()
                    .add(ModelFolder.f32(WEIGHT, 1))
                    .add(ModelFolder.f32(lacking, 1))
                    .write(directory.resolve("b")),
                new ModelFolder()
                    .add(ModelFolder.f32(WEIGHT, 2))
                    .add(ModelFolder.f32(lacking, 2))
                    .write(directory.resolve("f")),
                model("t", 6))
            .withLambdas(List.of(Double.NaN));
    Judge nobody =
        (model, set) -> {
          throw new AssertionError("measured");
        };
    assertThatThrownBy(
            () ->
                new GatedTransfer(MergeOptions.defaults(), MergeProgress.NONE, gates(nobody))
                    .run(request, directory.resolve("out"), (manifest, report) -> {}))
        .isInstanceOfSatisfying(
            TransferException.class,
            refusal ->
                assertThat(refusal.reasons())
                    .containsExactly(
                        "lambda is NaN, but must be a finite number",
                        "'" + lacking + "' of the base model has no counterpart in the target",
                        "'"
                            + lacking
                            + "' of the fine-tuned model has no counterpart in the target"));
    assertThat(directory.resolve("out")).doesNotExist();
  }

  private GatedTransfer.Outcome gated(Judge judge, TransferRequest request, Path output) {
    return new GatedTransfer(MergeOptions.defaults(), MergeProgress.NONE, gates(judge))
        .run(request, output, (manifest, report) -> {});
  }

  /** Passes the gates: the target is worse than all others. */
  private static double better(Path model) {
    return model.endsWith("t") ? 3 : 1;
  }

  @Test
  void setsOrAJudgeThatFailAreFoundBeforeTheMerge() throws IOException {
    TransferRequest request = TransferRequest.of(model("b", 1), model("f", 2), model("t", 6));
    Path output = directory.resolve("out");
    AtomicInteger merged = new AtomicInteger();
    Judge failing =
        (model, set) -> {
          throw new TransferException("the set has nothing to score");
        };
    GatedTransfer transfer =
        new GatedTransfer(
            MergeOptions.defaults(), (moved, total) -> merged.incrementAndGet(), gates(failing));
    assertThatThrownBy(() -> transfer.run(request, output, (manifest, report) -> {}))
        .isInstanceOf(TransferException.class)
        .hasMessage("the set has nothing to score");
    assertThat(merged).hasValue(0);
    assertThat(Candidate.isLeft(output)).isFalse();
    assertThat(output).doesNotExist();
  }

  @Test
  void gatesThatTheDiskHasNoRoomForAreRefusedBeforeAnythingIsMeasured() throws IOException {
    // One model has room, and a second one beside it does not.
    long elements = Files.getFileStore(directory).getUsableSpace() / 4 * 3 / 4;
    TransferRequest request =
        TransferRequest.of(
            Sparse.write(directory.resolve("b"), WEIGHT, elements),
            Sparse.write(directory.resolve("f"), WEIGHT, elements),
            Sparse.write(directory.resolve("t"), WEIGHT, elements));
    Path output = directory.resolve("out");
    assertThatThrownBy(
            () ->
                gated(
                    (model, set) -> {
                      throw new AssertionError("measured");
                    },
                    request,
                    output))
        .isInstanceOf(TransferException.class)
        .hasMessageContaining("one at a time that the gates measure need")
        .satisfies(e -> assertThat(((TransferException) e).mayPass()).isTrue());
    assertThat(Candidate.isLeft(output)).isFalse();
  }

  @Test
  void asManyModelsLieOnTheDiskAtATimeAsHaveRoom() throws IOException {
    long usable = Files.getFileStore(directory).getUsableSpace();
    Path output = directory.resolve("out");
    assertThat(OutputState.fitting(1 << 20, output, 4)).isEqualTo(4);
    assertThat(OutputState.fitting(usable * 2 / 5, output, 4)).isEqualTo(2);
    assertThat(OutputState.fitting(usable * 2, output, 4)).isEqualTo(1);
  }

  @Test
  void aCandidateThatCouldNotBeMeasuredThisTimeIsTakenUpByTheNextRun() throws IOException {
    TransferRequest request = TransferRequest.of(model("b", 1), model("f", 2), model("t", 6));
    Path output = directory.resolve("out");
    Path candidate = GatedTransfer.candidate(output);
    Path script = directory.resolve("judge.sh");
    Files.writeString(
        script,
        """
        case "$1" in
          *whence-candidate) exit 3 ;;
          *) echo 1 ;;
        esac
        """);
    Judge command = new CommandJudge(List.of("sh", script.toString()), Duration.ofMinutes(1));
    assertThatThrownBy(() -> gated(command, request, output))
        .isInstanceOf(TransferException.class)
        .hasMessageContaining("ended with status 3")
        .hasMessageContaining("the merged model stays in " + candidate)
        .satisfies(e -> assertThat(TransferException.isOfEnvironment(e)).isFalse());
    Object merged = fileKey(candidate);

    assertThat(gated((model, set) -> better(model), request, output).published()).isTrue();
    assertThat(fileKey(output)).isEqualTo(merged); // renamed, not merged anew
    assertThat(Candidate.isLeft(output)).isFalse();
  }

  private static Object fileKey(Path model) throws IOException {
    return Files.readAttributes(model.resolve(SafetensorsShards.SINGLE), BasicFileAttributes.class)
        .fileKey();
  }

  @Test
  void anEmptyDirectoryIsAnOutputWithGatesAsWithout() throws IOException {
    TransferRequest request = TransferRequest.of(model("b", 1), model("f", 2), model("t", 6));
    Path output = Files.createDirectory(directory.resolve("out"));
    assertThat(gated((model, set) -> better(model), request, output).published()).isTrue();
    assertThat(Manifest.read(output)).isPresent();

    Path occupied = Files.createDirectory(directory.resolve("occupied"));
    Files.writeString(occupied.resolve("something"), "else");
    assertThatThrownBy(() -> gated((model, set) -> better(model), request, occupied))
        .hasMessageContaining("exists and is not the result of this transfer");
  }

  @Test
  void aCandidateWhoseLossIsNoNumberIsRemoved() throws IOException {
    TransferRequest request = TransferRequest.of(model("b", 1), model("f", 2), model("t", 6));
    Path output = directory.resolve("out");
    Judge judge =
        (model, set) -> {
          if (model.equals(GatedTransfer.candidate(output))) {
            throw new TransferException("no number");
          }
          return better(model);
        };
    assertThatThrownBy(() -> gated(judge, request, output)).hasMessage("no number");
    assertThat(Candidate.isLeft(output)).isFalse();
  }
}
