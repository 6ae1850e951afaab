package dev.whence.engine.training;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.engine.weights.ModelFiles;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * What the autograd of Hugging Face transformers computes in fp64 on a tiny random model; made by
 * src/test/fixtures/gradient_fixtures.py.
 */
record GradientFixture(
    Path directory, List<Example> examples, double loss, Map<String, Expected> gradients) {

  /** Norm of a parameter's gradient, and some of its elements. */
  record Expected(double norm, List<Integer> places, List<Double> values) {}

  private static final Path ALL = Path.of("src/test/resources/fixtures/kernel");

  /** Every family that has a model there. */
  static List<String> names() {
    try (Stream<Path> directories = Files.list(ALL)) {
      return directories.map(directory -> directory.getFileName().toString()).sorted().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static GradientFixture read(String name) {
    Path directory = ALL.resolve(name);
    try {
      JsonNode json = new ObjectMapper().readTree(directory.resolve("gradients.json").toFile());
      List<Example> examples = new ArrayList<>();
      for (int d = 0; d < json.get("documents").size(); d++) {
        JsonNode tokens = json.get("documents").get(d);
        JsonNode weights = json.get("weights").get(d);
        int[] ids = new int[tokens.size()];
        float[] lossWeights = new float[tokens.size()];
        for (int i = 0; i < ids.length; i++) {
          ids[i] = tokens.get(i).asInt();
          lossWeights[i] = (float) weights.get(i).asDouble();
        }
        examples.add(new Example(ids, lossWeights));
      }
      Map<String, Expected> gradients = new TreeMap<>();
      for (Map.Entry<String, JsonNode> entry : json.get("gradients").properties()) {
        List<Integer> places = new ArrayList<>();
        entry.getValue().get("places").forEach(place -> places.add(place.asInt()));
        List<Double> values = new ArrayList<>();
        entry.getValue().get("values").forEach(value -> values.add(value.asDouble()));
        gradients.put(
            entry.getKey(), new Expected(entry.getValue().get("norm").asDouble(), places, values));
      }
      return new GradientFixture(directory, examples, json.get("loss").asDouble(), gradients);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A trainer of the fixture's model. */
  Trainer trainer(TrainingOptions options) {
    try (ModelFiles files = ModelFiles.open(directory)) {
      return Trainer.from(files.config(), files.weights(), options);
    }
  }
}
