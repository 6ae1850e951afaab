package dev.whence.engine.kernel;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.engine.Branch;
import dev.whence.engine.View;
import dev.whence.engine.weights.ModelFiles;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.StreamSupport;

/**
 * A tiny random model with what Hugging Face transformers computes on it in fp32; made by
 * src/test/fixtures/kernel_fixtures.py.
 */
@SuppressWarnings("ArrayRecordComponent")
record Fixture(
    String name,
    int[] ids,
    double[] logProbs,
    int greedyPrompt,
    int[] greedy,
    double[] inverseFrequencies,
    List<Ablation> ablations) {

  /** The sequence without tokens [from, to): log-probabilities of its last tokens. */
  record Ablation(int from, int to, double[] logProbs) {}

  static final List<String> NAMES =
      List.of(
          "llama2",
          "llama3",
          "smollm2",
          "llama_biases",
          "qwen2",
          "qwen3",
          "mistral",
          "pythia",
          "dolly",
          "neox_serial");

  static Path directory(String name) {
    return Path.of("src/test/resources/fixtures/kernel", name);
  }

  static Fixture read(String name) {
    try {
      JsonNode json =
          new ObjectMapper().readTree(directory(name).resolve("expected.json").toFile());
      List<Ablation> ablations = new ArrayList<>();
      for (JsonNode node : json.get("leaveOneOut")) {
        ablations.add(
            new Ablation(
                node.get("from").asInt(), node.get("to").asInt(), doubles(node.get("logProbs"))));
      }
      return new Fixture(
          name,
          ints(json.get("ids")),
          doubles(json.get("logProbs")),
          json.get("greedyPrompt").asInt(),
          ints(json.get("greedy")),
          doubles(json.get("inverseFrequencies")),
          ablations);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  ModelFiles open() {
    return ModelFiles.open(directory(name));
  }

  /** Exact leave-one-out: sees what stands before the cut, computes all that follows it. */
  Branch branch(Ablation ablation) {
    int[] tokens = IntStream.range(ablation.to(), ids.length).map(i -> ids[i]).toArray();
    int[] positions = IntStream.range(ablation.from(), ablation.from() + tokens.length).toArray();
    return new Branch(
        List.of(new View(0, ablation.from(), 0)),
        tokens,
        positions,
        tokens.length - ablation.logProbs().length);
  }

  private static int[] ints(JsonNode array) {
    return StreamSupport.stream(array.spliterator(), false).mapToInt(JsonNode::asInt).toArray();
  }

  private static double[] doubles(JsonNode array) {
    return StreamSupport.stream(array.spliterator(), false)
        .mapToDouble(JsonNode::asDouble)
        .toArray();
  }
}
