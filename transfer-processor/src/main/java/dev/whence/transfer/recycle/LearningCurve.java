package dev.whence.transfer.recycle;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.weights.UntrustedJson;
import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;

/**
 * What was measured of a training run, on disk as it comes: a JSON object per line, appended. A run
 * that goes on from a checkpoint measures some steps again, to the same values: the last line of a
 * step counts. A line that a killed run left half written is passed over.
 */
final class LearningCurve {
  private final Path file;

  LearningCurve(Path file) {
    this.file = file;
  }

  void add(Measurement measurement) {
    ObjectNode line =
        UntrustedJson.mapper()
            .createObjectNode()
            .put("step", measurement.step())
            .put("loss", measurement.loss())
            .put("exact", measurement.exact())
            .put("questions", measurement.questions());
    try {
      Files.writeString(
          file,
          "\n" + line, // before it: what was half written ends there
          StandardCharsets.UTF_8,
          StandardOpenOption.CREATE,
          StandardOpenOption.APPEND);
    } catch (IOException e) {
      throw new TransferException(file + " can not be written (" + e + ")", e);
    }
  }

  /** By step. */
  List<Measurement> points() {
    TreeMap<Long, Measurement> points = new TreeMap<>();
    if (!Files.exists(file)) {
      return List.of();
    }
    List<String> lines;
    try {
      lines = Files.readAllLines(file, StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new TransferException(file + " can not be read (" + e + ")", e);
    }
    for (String line : lines) {
      read(line).ifPresent(point -> points.put(point.step(), point));
    }
    return new ArrayList<>(points.values());
  }

  private static Optional<Measurement> read(String line) {
    try {
      JsonNode json = UntrustedJson.mapper().readTree(line);
      return json.path("questions").asInt() > 0
          ? Optional.of(
              new Measurement(
                  json.path("step").asLong(),
                  json.path("loss").asDouble(),
                  json.path("exact").asInt(),
                  json.path("questions").asInt()))
          : Optional.empty();
    } catch (IOException e) {
      return Optional.empty();
    }
  }
}
