package dev.whence.benchmarks.fidelity;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionStatus;
import dev.whence.attribution.Attributor;
import dev.whence.benchmarks.fidelity.FidelityPrompt.Place;
import dev.whence.conversation.Conversation;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.samples.BundledModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A gold sentence that stands there twice, on a bundled model that reads. */
class RedundancyProbeTest {
  private static final String QUESTION =
      """
      {"id": "q", "question": "Where does Mandel live?", "paragraphs": [
      {"title": "A", "sentences": ["Mandel lives in Kesta.", "It is hot."], "gold": [true, false]},
      {"title": "B", "sentences": ["Bob is ill."], "gold": [false]}]}"""
          .replace("\n", " ");

  @TempDir private Path directory;

  @Test
  void theSentenceIsCopiedToTheEndOfTheNextDocumentAndItsCopiesAreFound() throws IOException {
    Path file = directory.resolve("q.jsonl");
    Files.writeString(file, QUESTION);
    FidelityPrompt prompt = FidelityPrompt.read(file, 0, 0).get(0);
    try (LocalScorer scorer =
        LocalScorer.open(
            ModelFiles.open(BundledModels.unpack("chat-v1")),
            EngineOptions.defaults().withDtype(Dtype.FP32))) {
      Conversation answered = answered(prompt.conversation(), "Mandel lives in Kesta.");
      AttributionResult exact = attribute(scorer, answered);
      assertThat(exact.sources().get(0).text()).isEqualTo("Mandel lives in Kesta. ");
      assertThat(exact.sources().get(0).tau()).isGreaterThan(1);
      RedundancyProbe probe = RedundancyProbe.of(answered, exact, Set.of(0)).orElseThrow();
      String text = probe.prompt().conversation().parts().toList().get(2).text();
      assertThat(text).isEqualTo("Bob is ill. Mandel lives in Kesta.");
      assertThat(probe.copy()).isEqualTo(new Place("doc-1", 12));
      AttributionResult twice = attribute(scorer, probe.prompt().conversation());
      List<Integer> copies = probe.copies(twice).orElseThrow();
      assertThat(copies).containsExactly(0, 3);
      assertThat(copies)
          .extracting(i -> twice.sources().get(i).text().strip())
          .containsOnly("Mandel lives in Kesta.");
      // each copy makes up for the other
      assertThat(twice.sources().get(0).tau() + twice.sources().get(3).tau())
          .isLessThan(exact.sources().get(0).tau());
      assertThat(RedundancyProbe.of(answered, exact, Set.of())).isEqualTo(Optional.empty());
    }
  }

  private static AttributionResult attribute(LocalScorer scorer, Conversation conversation) {
    AttributionResult result =
        new Attributor(scorer, AttributionOptions.DEFAULT).attribute(conversation);
    assertThat(result.status()).isEqualTo(AttributionStatus.SCORED);
    return result;
  }

  private static Conversation answered(Conversation of, String response) {
    return of.toBuilder().response(response).finishReason("stop").build();
  }

  @Test
  void copiesAreCountedAmongTheTop() {
    double[] scores = {0.1, 5, 4, 3, 2};
    assertThat(RedundancyProbe.among(scores, List.of(1, 4), 3, 1)).isEqualTo(1);
    assertThat(RedundancyProbe.among(scores, List.of(1, 4), 3, 2)).isZero();
    assertThat(RedundancyProbe.among(scores, List.of(1, 2), 3, 2)).isEqualTo(1);
    assertThat(RedundancyProbe.among(scores, List.of(0, 4), 3, 1)).isZero();
  }
}
