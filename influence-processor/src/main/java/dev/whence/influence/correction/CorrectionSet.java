package dev.whence.influence.correction;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.corpus.Checksums;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.index.IndexManifest;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * The training examples behind answers that somebody objects to, as a data set for whoever corrects
 * the model: over the answers y that list document i,
 *
 * <pre>
 *   score(i) = sum over y of I(i, y)      nats
 * </pre>
 *
 * An example is {@link Direction#HARMFUL} where the sum is positive (it made the answers more
 * likely) and {@link Direction#HELPFUL} where it is negative. What an answer does not list counts
 * as 0, for it is not among the most influential of that answer. Documents with the same text are
 * one example, their influences added. Texts come from the corpus, whose digest must be the
 * index's.
 *
 * <p>Source: LANCET (2412.16451), its first phase: recall of the training data that drives
 * undesired outputs, and of the data that works against them; the second phase, training on both,
 * is the fine-tuning team's. Ours: sums over several answers, and what becomes of duplicates.
 */
public final class CorrectionSet {
  /** What an example does to the flagged answers. */
  public enum Direction {
    /** Made them more likely. */
    HARMFUL,
    /** Made them less likely. */
    HELPFUL;

    /** As it is written in files. */
    public String label() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /**
   * An example.
   *
   * @param id of the first document with its text
   * @param lines of the corpus that have its text
   * @param score nats, summed over the answers
   * @param answers influence by responseId, nats
   * @param exact whether no influence of it is a sketch's estimate
   * @param line the corpus' JSON
   */
  public record Example(
      String id,
      List<Long> lines,
      double score,
      Map<String, Double> answers,
      boolean exact,
      ObjectNode line) {
    public Example {
      lines = List.copyOf(lines);
      answers = new LinkedHashMap<>(answers);
    }

    public Direction direction() {
      return score > 0 ? Direction.HARMFUL : Direction.HELPFUL;
    }
  }

  private final IndexManifest index;
  private final CorpusFile corpus;
  private final List<FlaggedAnswer> answers;
  private final List<Example> examples;

  private CorrectionSet(
      IndexManifest index, CorpusFile corpus, List<FlaggedAnswer> answers, List<Example> examples) {
    this.index = index;
    this.corpus = corpus;
    this.answers = answers;
    this.examples = examples;
  }

  /**
   * Gathers the examples.
   *
   * @param index that was asked
   * @param corpus that the index is of
   * @param top examples of each direction, the largest sums
   * @throws InfluenceException if an answer was asked of another index or is given twice, or the
   *     corpus is not what was indexed
   */
  public static CorrectionSet of(
      List<FlaggedAnswer> answers, IndexManifest index, CorpusFile corpus, int top) {
    if (top < 1) {
      throw new InfluenceException("top " + top + " is too small: at least 1 is possible.");
    }
    check(answers, index);
    if (!corpus.digest().equals(index.settings().corpusDigest())) {
      throw new InfluenceException(
          corpus.path()
              + " is not the corpus that was indexed: its SHA-256 is another. Give back the file that"
              + " the index was built of (--corpus), or build the index anew.");
    }
    Map<Long, String> ids = new TreeMap<>();
    for (FlaggedAnswer answer : answers) {
      answer.parts().forEach(part -> ids.putIfAbsent(part.line(), part.id()));
    }
    Map<Long, String> lines = corpus.lines(ids.keySet());
    Map<String, List<Long>> byText = new LinkedHashMap<>();
    Map<Long, ObjectNode> documents = new HashMap<>();
    lines.forEach(
        (number, text) -> {
          ObjectNode document = document(corpus, number, text);
          documents.put(number, document);
          byText.computeIfAbsent(content(document), key -> new ArrayList<>()).add(number);
        });
    List<Example> all = new ArrayList<>();
    byText.values().forEach(same -> all.add(example(same, ids, documents, answers)));
    List<Example> chosen = new ArrayList<>();
    for (Direction direction : Direction.values()) {
      all.stream()
          .filter(one -> one.direction() == direction && one.score() != 0)
          .sorted(Comparator.comparingDouble(one -> -Math.abs(one.score())))
          .limit(top)
          .forEach(chosen::add);
    }
    return new CorrectionSet(index, corpus, List.copyOf(answers), List.copyOf(chosen));
  }

  private static void check(List<FlaggedAnswer> answers, IndexManifest index) {
    if (answers.isEmpty()) {
      throw new InfluenceException(
          "There is no flagged answer with influences: nothing to export.");
    }
    Set<String> seen = new HashSet<>();
    for (FlaggedAnswer answer : answers) {
      if (!seen.add(answer.responseId())) {
        throw new InfluenceException(
            "Response "
                + answer.responseId()
                + " is given twice, and would count twice: leave one line out.");
      }
      if (!answer.index().equals(index.digest())) {
        throw new InfluenceException(
            "The result of response "
                + answer.responseId()
                + " is of another index than --index: its lines are not this corpus' lines. Give the"
                + " index that was asked, or ask this one.");
      }
    }
  }

  private static ObjectNode document(CorpusFile corpus, long number, String text) {
    try {
      JsonNode json = JsonMapper.builder().build().readTree(text);
      if (json instanceof ObjectNode object) {
        return object;
      }
    } catch (JsonProcessingException e) {
      throw notADocument(corpus, number, e);
    }
    throw notADocument(corpus, number, new IllegalArgumentException("no object"));
  }

  private static InfluenceException notADocument(CorpusFile corpus, long number, Exception cause) {
    return new InfluenceException(
        corpus.path() + ", line " + number + ", is no document: results name a wrong line.", cause);
  }

  /** What is learnt of a line: all but its name. */
  private static String content(ObjectNode document) {
    ObjectNode rest = document.deepCopy();
    rest.remove(List.of("id", "responseId"));
    return HexFormat.of()
        .formatHex(Checksums.sha256().digest(rest.toString().getBytes(StandardCharsets.UTF_8)));
  }

  private static Example example(
      List<Long> lines,
      Map<Long, String> ids,
      Map<Long, ObjectNode> documents,
      List<FlaggedAnswer> answers) {
    Map<String, Double> byAnswer = new LinkedHashMap<>();
    boolean exact = true;
    for (FlaggedAnswer answer : answers) {
      for (FlaggedAnswer.Part part : answer.parts()) {
        if (lines.contains(part.line())) {
          byAnswer.merge(answer.responseId(), part.influence(), Double::sum);
          exact &= part.exact();
        }
      }
    }
    return new Example(
        Objects.requireNonNull(ids.get(lines.get(0))),
        lines,
        byAnswer.values().stream().mapToDouble(Double::doubleValue).sum(),
        byAnswer,
        exact,
        Objects.requireNonNull(documents.get(lines.get(0))));
  }

  /** The harmful ones first, then the helpful ones, each the largest sums first. */
  public List<Example> examples() {
    return examples;
  }

  /** Where the manifest of a data set lies. */
  public static Path manifest(Path output) {
    return output.resolveSibling(output.getFileName() + ".manifest.json");
  }

  /**
   * Writes the data set, a corpus of JSON Lines: each document as it stands in the corpus, its
   * {@code id}, and a member {@code influence} that says why it is there. Beside it a manifest says
   * of what it was made.
   *
   * @throws InfluenceException if a file is there already or can not be written
   */
  public void write(Path output) {
    StringBuilder text = new StringBuilder();
    for (Example example : examples) {
      text.append(line(example)).append('\n');
    }
    byte[] bytes = text.toString().getBytes(StandardCharsets.UTF_8);
    ObjectNode manifest = manifest(bytes);
    try {
      for (Path path : List.of(output, manifest(output))) {
        if (Files.exists(path)) {
          throw new FileAlreadyExistsException(path.toString());
        }
      }
      Files.write(
          manifest(output), (manifest.toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8));
      Path beside = output.resolveSibling(output.getFileName() + ".writing");
      Files.write(beside, bytes);
      Files.move(beside, output);
    } catch (FileAlreadyExistsException e) {
      throw new InfluenceException(
          e.getMessage() + " is there already: give another --output, or remove it.", e);
    } catch (IOException e) {
      throw new InfluenceException(
          output + " could not be written (" + e.getMessage() + "): see that the disk has room.",
          e);
    }
  }

  private static String line(Example example) {
    ObjectNode line = example.line().deepCopy();
    if (!line.has("messages") && line.path("id").asText("").isEmpty()) {
      line.put("id", example.id());
    }
    ObjectNode influence = line.putObject("influence");
    influence
        .put("score", example.score())
        .put("direction", example.direction().label())
        .put("exact", example.exact());
    ArrayNode lines = influence.putArray("corpusLines");
    example.lines().forEach(lines::add);
    ArrayNode answers = influence.putArray("answers");
    example
        .answers()
        .forEach(
            (responseId, value) ->
                answers.addObject().put("responseId", responseId).put("influence", value));
    return line.toString();
  }

  private ObjectNode manifest(byte[] dataset) {
    ObjectNode json = JsonMapper.builder().build().createObjectNode();
    json.put("kind", "whence-correction-set")
        .put("source", "LANCET (2412.16451), recall by influence")
        .put("unit", "nats")
        .put("sha256", HexFormat.of().formatHex(Checksums.sha256().digest(dataset)))
        .put("harmful", count(Direction.HARMFUL))
        .put("helpful", count(Direction.HELPFUL));
    json.putObject("index")
        .put("digest", index.digest())
        .put("model", index.settings().modelName())
        .put("modelDigest", index.settings().modelDigest())
        .put("factors", index.settings().factorsDigest())
        .put("measureOfDocuments", index.settings().measure().label())
        .put("documents", index.documents());
    json.putObject("corpus")
        .put("file", String.valueOf(corpus.path().getFileName()))
        .put("sha256", index.settings().corpusDigest());
    ArrayNode models = json.putArray("models");
    ArrayNode methods = json.putArray("methods");
    Set<String> names = new TreeSet<>();
    Set<String> how = new TreeSet<>();
    ArrayNode flagged = json.putArray("answers");
    for (FlaggedAnswer answer : answers) {
      flagged.add(answer.responseId());
      names.add(answer.model());
      how.add(answer.method());
    }
    names.forEach(models::add);
    how.forEach(methods::add);
    return json;
  }

  private long count(Direction direction) {
    return examples.stream().filter(one -> one.direction() == direction).count();
  }
}
