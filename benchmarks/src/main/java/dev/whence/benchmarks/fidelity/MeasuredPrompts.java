package dev.whence.benchmarks.fidelity;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.datatype.jdk8.Jdk8Module;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What was measured prompt by prompt, in a file: a run that takes hours can be cut off and goes on
 * where it was. The first line says what was measured with; each further line is a {@link
 * Measured}. A last line that was cut short is measured again.
 */
final class MeasuredPrompts {
  private static final ObjectMapper JSON =
      new ObjectMapper()
          .registerModule(new Jdk8Module())
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .enable(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES);

  private final Optional<Path> file;
  private final Map<String, Deque<Measured>> known = new HashMap<>();

  private MeasuredPrompts(Optional<Path> file) {
    this.file = file;
  }

  /** Nothing is known, and nothing is kept. */
  static MeasuredPrompts none() {
    return new MeasuredPrompts(Optional.empty());
  }

  /**
   * Reads the file, or begins it.
   *
   * @param of what must be the same for measurements to stand side by side
   * @throws IOException if it can not be read or written
   * @throws IllegalArgumentException if it holds measurements of something else, or is no such file
   */
  static MeasuredPrompts open(Path file, Map<String, String> of) throws IOException {
    MeasuredPrompts prompts = new MeasuredPrompts(Optional.of(file));
    if (!Files.exists(file) || Files.size(file) == 0) {
      Files.writeString(file, JSON.writeValueAsString(of) + "\n");
      return prompts;
    }
    String text = Files.readString(file);
    boolean ended = text.endsWith("\n");
    List<String> lines = text.lines().toList();
    prompts.check(lines.get(0), of);
    for (int i = 1; i < lines.size(); i++) {
      try {
        Measured one = JSON.readValue(lines.get(i), Measured.class);
        prompts.known.computeIfAbsent(one.prompt(), id -> new ArrayDeque<>()).add(one);
      } catch (JsonProcessingException e) {
        if (ended || i < lines.size() - 1) {
          throw new IllegalArgumentException(
              file + ", line " + (i + 1) + " is no measured prompt; remove the file", e);
        }
        Files.writeString(file, text.substring(0, text.lastIndexOf('\n') + 1));
        return prompts;
      }
    }
    if (!ended) { // all but the end of its last line was written
      Files.writeString(file, "\n", StandardOpenOption.APPEND);
    }
    return prompts;
  }

  private void check(String line, Map<String, String> of) {
    Map<?, ?> found;
    try {
      found = JSON.readValue(line, Map.class);
    } catch (JsonProcessingException e) {
      throw new IllegalArgumentException(
          file.orElseThrow() + " holds no measured prompts; name another file", e);
    }
    if (!found.equals(of)) {
      throw new IllegalArgumentException(
          file.orElseThrow()
              + " holds what was measured with "
              + found
              + ", not with "
              + of
              + "; name another file");
    }
  }

  /** What was measured on a prompt before, once for each time that it was. */
  Optional<Measured> take(String prompt) {
    return Optional.ofNullable(known.getOrDefault(prompt, new ArrayDeque<>()).poll());
  }

  void add(Measured one) throws IOException {
    if (file.isPresent()) {
      Files.writeString(file.get(), JSON.writeValueAsString(one) + "\n", StandardOpenOption.APPEND);
    }
  }
}
