package dev.whence.influence.correction;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.conversation.BoundedJson;
import dev.whence.conversation.WellFormedText;
import dev.whence.files.FileProblem;
import dev.whence.files.OwnFile;
import dev.whence.files.Sha256;
import dev.whence.files.WholeFile;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.OutputPlace;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.index.IndexManifest;
import dev.whence.influence.model.Measure;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
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
 *   score(i) = sum over y of I(i, y)
 * </pre>
 *
 * An example is {@link Direction#HARMFUL} where the sum is positive (it made the answers more
 * likely) and {@link Direction#HELPFUL} where it is negative. What an answer does not list counts
 * as 0, for it is not among the most influential of that answer. Listed documents with the same
 * text are one example, their influences added. Scores are in nats where both measures are
 * log-likelihood; else only their order means something, and answers of different terms are
 * refused. Texts come from the corpus, whose digest must be the index's.
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
   * @param lines of the corpus that answers list and that have its text
   * @param score summed over the answers
   * @param answers influence by responseId
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
    corpus.check(index.settings().corpusDigest());
    Map<Long, String> ids = new TreeMap<>();
    for (FlaggedAnswer answer : answers) {
      answer.parts().forEach(part -> ids.putIfAbsent(part.line(), part.id()));
    }
    Map<Long, String> lines = corpus.lines(ids.keySet()); // all are there, or it throws
    Map<String, List<Long>> byText = new LinkedHashMap<>();
    Map<Long, ObjectNode> documents = new HashMap<>();
    lines.forEach(
        (number, text) -> {
          ObjectNode document = document(corpus, number, text);
          for (FlaggedAnswer answer : answers) {
            checkIds(answer, number, name(document, number));
          }
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
    if (chosen.isEmpty()) {
      throw new InfluenceException(
          "The flagged answers list no document with an influence: nothing to export.");
    }
    return new CorrectionSet(index, corpus, List.copyOf(answers), List.copyOf(chosen));
  }

  /** As the corpus' reader names it. */
  private static String name(ObjectNode document, long number) {
    return CorpusFile.isConversation(document)
        ? WellFormedText.of(document.path("responseId").asText())
        : CorpusFile.id(document, number);
  }

  private static void checkIds(FlaggedAnswer answer, long number, String name) {
    for (FlaggedAnswer.Part part : answer.parts()) {
      if (part.line() == number && !part.id().equals(name)) {
        throw new InfluenceException(
            "The result of response "
                + answer.responseId()
                + " names document "
                + part.id()
                + " at line "
                + number
                + ", where "
                + name
                + " is: it was altered, or is of another corpus.");
      }
    }
  }

  private static void check(List<FlaggedAnswer> answers, IndexManifest index) {
    if (answers.isEmpty()) {
      throw new InfluenceException(
          "There is no flagged answer with influences: nothing to export.");
    }
    Set<String> seen = new HashSet<>();
    FlaggedAnswer first = answers.get(0);
    for (FlaggedAnswer answer : answers) {
      if (!seen.add(answer.responseId())) {
        throw new InfluenceException(
            "Response "
                + answer.responseId()
                + " is given twice, and would count twice: leave one line out.");
      }
      if (!answer.terms().equals(first.terms())) {
        throw new InfluenceException(
            "Influences of different terms can not be added: response "
                + first.responseId()
                + " was asked by "
                + first.terms()
                + ", response "
                + answer.responseId()
                + " by "
                + answer.terms()
                + ". Ask all of them alike.");
      }
      Set<Long> lines = new HashSet<>();
      for (FlaggedAnswer.Part part : answer.parts()) {
        if (!lines.add(part.line())) {
          throw new InfluenceException(
              "The result of response "
                  + answer.responseId()
                  + " lists line "
                  + part.line()
                  + " twice, which would count twice.");
        }
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
      JsonNode json = BoundedJson.mapper().build().readTree(text);
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

  /** What is learnt of a line, whatever else it says. */
  private static String content(ObjectNode document) {
    ObjectNode learnt = document.objectNode();
    List<String> members =
        CorpusFile.isConversation(document)
            ? List.of("messages", "prompt", "tools", "reasoning", "response")
            : List.of("text", "lossWeight", "lossWeights");
    members.forEach(member -> learnt.set(member, document.path(member).deepCopy()));
    return Sha256.of(utf8(learnt.toString()));
  }

  /** With half a character as the corpus' reader has it: Java would write a question mark. */
  private static byte[] utf8(String text) {
    return WellFormedText.of(text).getBytes(StandardCharsets.UTF_8);
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
    double score = byAnswer.values().stream().mapToDouble(Double::doubleValue).sum();
    if (!Double.isFinite(score)) {
      throw new InfluenceException(
          "Influences of line " + lines.get(0) + " sum to more than a number holds.");
    }
    return new Example(
        Objects.requireNonNull(ids.get(lines.get(0))),
        lines,
        score,
        byAnswer,
        exact,
        Objects.requireNonNull(documents.get(lines.get(0))));
  }

  /**
   * Those of some directions alone.
   *
   * @throws InfluenceException if none is left
   */
  public CorrectionSet only(Set<Direction> directions) {
    List<Example> left =
        examples.stream().filter(one -> directions.contains(one.direction())).toList();
    if (left.isEmpty()) {
      throw new InfluenceException("No example has the wanted direction: nothing to export.");
    }
    return new CorrectionSet(index, corpus, answers, left);
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
   * of what it was made; where it is there, the data set is.
   *
   * @throws InfluenceException if a file is there already or can not be written
   */
  public void write(Path output) {
    checkFree(output);
    StringBuilder text = new StringBuilder();
    for (Example example : examples) {
      text.append(line(example)).append('\n');
    }
    byte[] bytes = utf8(text.toString());
    byte[] manifest = utf8(manifest(bytes).toPrettyString() + "\n");
    Path beside = output.resolveSibling(output.getFileName() + ".writing");
    try {
      OwnFile.write(beside, bytes);
      Files.move(beside, output);
      WholeFile.write(manifest(output), manifest);
    } catch (IOException e) {
      throw new InfluenceException(
          output + " could not be written " + FileProblem.unwritten(e, output) + ".", e);
    }
  }

  /**
   * That a data set can be written there.
   *
   * @throws InfluenceException if something is there already, or nothing can be written there
   */
  public static void checkFree(Path output) {
    OutputPlace.check(output);
    for (Path path : List.of(output, manifest(output))) {
      if (Files.exists(path)) {
        throw new InfluenceException(
            path + " is there already: give another --output, or remove it.");
      }
    }
  }

  private static String line(Example example) {
    ObjectNode line = example.line().deepCopy();
    if (!CorpusFile.isConversation(line) && line.path("id").asText("").isEmpty()) {
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
        .put("unit", isInNats() ? "nats" : "none: only the order means something")
        .put("terms", answers.get(0).terms().toString())
        .put("sha256", Sha256.of(dataset))
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

  private boolean isInNats() {
    FlaggedAnswer.Terms terms = answers.get(0).terms();
    String defined = Measure.LOG_LIKELIHOOD.label();
    return terms.measure().equals(defined) && terms.ofDocuments().equals(defined);
  }

  private long count(Direction direction) {
    return examples.stream().filter(one -> one.direction() == direction).count();
  }
}
