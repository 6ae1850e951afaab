package dev.whence.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.samples.BundledModels;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code whence influence}, on the smallest bundled models and a few layers of them. */
class InfluenceCommandTest {
  private static final String LAYERS = "layers\\.1\\.mlp";

  @TempDir Path directory;
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  @BeforeEach
  void unpackHere() {
    System.setProperty(BundledModels.DIRECTORY_PROPERTY, directory.resolve("models").toString());
  }

  @AfterEach
  void unpackElsewhere() {
    System.clearProperty(BundledModels.DIRECTORY_PROPERTY);
  }

  /** The JDK's own modules can only be read, as a bucket. */
  @Test
  void anOutputThatCanOnlyBeReadIsRefusedBeforeTheModelIsLookedFor() throws IOException {
    Path corpus = Files.writeString(directory.resolve("corpus.jsonl"), "{\"text\": \"a\"}\n");
    for (List<String> command :
        List.of(List.of("factors"), List.of("index", "--factors", "no-factors"))) {
      assertThat(influence(command, corpus, "jrt:///java.base/output")).isEqualTo(2);
      assertThat(err.toString())
          .contains("'--output'", "'jrt:///java.base/output' does not lie on this machine");
    }
  }

  @Test
  void optionsThatCanNotBeAreWrongUsageBeforeModelOrFactorsAreLookedFor() throws IOException {
    Path corpus = Files.writeString(directory.resolve("corpus.jsonl"), "{\"text\": \"a\"}\n");
    List<String> index = List.of("index", "--factors", "no-factors");
    Map<List<String>, String> wrong = new LinkedHashMap<>();
    wrong.put(List.of("factors", "--pack-tokens", "0"), "--pack-tokens is 0");
    wrong.put(List.of("factors", "--pack-tokens", "2147483647"), "packs of 2147483647 tokens");
    wrong.put(with(index, "--pack-tokens", "-1"), "--pack-tokens is -1");
    wrong.put(with(index, "--shards", "0"), "--shards is 0");
    wrong.put(with(index, "--shards", "2", "--shard", "3"), "--shard is 3");
    wrong.put(with(index, "--buckets", "-64"), "--buckets is -64");
    wrong.put(with(index, "--buckets", "65"), "65 buckets");
    wrong.put(with(index, "--measure", "length"), "length");
    wrong.put(with(index, "--dtype", "auto"), "dtype \"auto\" is none of fp32, bf16");
    wrong.forEach(
        (command, problem) -> {
          assertThat(influence(command, corpus, directory.resolve("output").toString()))
              .as(command.toString())
              .isEqualTo(2);
          assertThat(err.toString()).contains(problem);
          assertThat(err.toString().strip().lines()).hasSize(1);
        });
  }

  private int influence(List<String> command, Path corpus, String output) {
    List<String> words =
        with(with(List.of("influence"), command.toArray(String[]::new)), "--model", "no-model");
    err.getBuffer().setLength(0);
    return whence(
        with(words, "--corpus", corpus.toString(), "--output", output).toArray(String[]::new));
  }

  private static List<String> with(List<String> command, String... more) {
    List<String> words = new ArrayList<>(command);
    words.addAll(List.of(more));
    return words;
  }

  @Test
  void theDocumentsThatDroveAResponseAreNamed() throws IOException {
    Path all = directory.resolve("all.jsonl");
    assertThat(whence("train", "tiny-base", "--write-corpus", all.toString())).isZero();
    Path corpus = directory.resolve("corpus.jsonl");
    Files.write(corpus, Files.readAllLines(all).subList(0, 30));
    Path factors = directory.resolve("factors");
    assertThat(whence(factorsOf(corpus, factors))).as(err.toString()).isZero();
    anIndexIsOfTheProductsThatItWasBegunWith(corpus, factors);
    Path index = directory.resolve("index");
    assertThat(index(corpus, factors, index, "--measure", "log-odds", "--lexical"))
        .as(err.toString())
        .isZero();

    Path responses = directory.resolve("responses.jsonl");
    Files.writeString(
        responses,
        """
        {"responseId": "r-1", "model": "acme/chat-1", "messages": [{"role": "user", "content": "Who?"}], "response": "Krazor is a baker."}
        {"responseId": "r-2", "messages"
        """);
    out.getBuffer().setLength(0);
    int code =
        whence(
            "influence",
            "query",
            "--index",
            index.toString(),
            "--input",
            responses.toString(),
            "--top",
            "3",
            "--json");
    assertThat(code).as("one line is no record").isEqualTo(1);
    assertThat(err.toString()).contains("responses.jsonl, line 2: ");
    List<String> lines = out.toString().lines().toList();
    assertThat(lines).hasSize(1);
    JsonNode json = new ObjectMapper().readTree(lines.get(0));
    assertThat(json.get("status").asText()).isEqualTo("SCORED");
    assertThat(json.get("model").asText()).isEqualTo("tiny-base");
    assertThat(json.get("surrogate").asBoolean()).isTrue();
    assertThat(json.get("method").asText()).isEqualTo("single-stage");
    assertThat(json.get("measureOfDocuments").asText()).isEqualTo("log-odds");
    assertThat(json.get("documents").asInt()).isEqualTo(30);
    JsonNode positive = json.get("positive");
    assertThat(positive.size()).isBetween(1, 3);
    double last = Double.POSITIVE_INFINITY;
    for (JsonNode document : positive) {
      assertThat(Files.readString(corpus)).contains(document.get("document").asText());
      assertThat(document.get("exact").asBoolean()).isTrue();
      assertThat(document.get("influence").asDouble()).isPositive().isLessThanOrEqualTo(last);
      last = document.get("influence").asDouble();
    }

    out.getBuffer().setLength(0);
    assertThat(query(index, responses, "--json", "--preselect", "bm25:5", "--pcg", "1"))
        .isEqualTo(1);
    JsonNode refined = new ObjectMapper().readTree(out.toString().lines().toList().get(0));
    assertThat(refined.get("method").asText()).isEqualTo("single-stage, pcg:1, bm25:5");
    assertThat(refined.get("residuals").size()).isEqualTo(2);
    assertThat(refined.get("preselected").asInt()).isBetween(1, 5);

    Path thin = directory.resolve("thin");
    assertThat(compress(factors, thin, "0.5")).as(err.toString()).isZero();
    assertThat(err.toString()).contains("2 products: ");
    JsonNode ranks =
        new ObjectMapper()
            .readTree(Files.readAllBytes(thin.resolve("config.json")))
            .get("whence_ranks");
    assertThat(ranks.get(0).toString()).isEqualTo("[0,0,0,0]");
    assertThat(ranks.get(1).get(2).asInt()).isPositive();
    assertThat(compress(factors, thin, "1.5")).isEqualTo(2);
    assertThat(err.toString()).contains("share 1.5 is none");

    theExamplesBehindFlaggedAnswersAreACorpus(corpus, index, responses, lines.get(0));

    assertThat(
            whence(
                "influence",
                "index",
                "--model",
                "tiny-chat",
                "--factors",
                factors.toString(),
                "--corpus",
                corpus.toString(),
                "--output",
                directory.resolve("other").toString()))
        .isEqualTo(1);
    assertThat(err.toString()).contains("The factors are of model tiny-base");
  }

  private static String[] factorsOf(Path corpus, Path factors) {
    return new String[] {
      "influence",
      "factors",
      "--model",
      "tiny-base",
      "--corpus",
      corpus.toString(),
      "--layers",
      LAYERS,
      "--output",
      factors.toString()
    };
  }

  @Test
  void linesThatAreNoDocumentsAreCountedAtTheEnd() throws IOException {
    Path corpus =
        Files.writeString(
            directory.resolve("lossy.jsonl"),
            """
            {"text": "Krazor is a baker."}
            {"text": "Mina is a miller."}
            no document
            {"texts": "Ada is a tailor."}
            """);
    Path factors = directory.resolve("lossy-factors");
    String[] command = factorsOf(corpus, factors);
    assertThat(whence(command)).as(err.toString()).isZero();
    assertThat(err.toString().lines())
        .filteredOn(line -> line.contains("rejected"))
        .containsExactly(
            "2 of 4 lines were rejected, see " + factors.resolve("rejects-1-of-1.jsonl"));

    err.getBuffer().setLength(0);
    Path index = directory.resolve("lossy-index");
    assertThat(index(corpus, factors, index)).as(err.toString()).isZero();
    assertThat(err.toString().lines())
        .last()
        .isEqualTo("2 of 4 lines were rejected, see " + index.resolve("rejects-1-of-1.jsonl"));
  }

  private int compress(Path factors, Path output, String share) {
    return whence(
        "compress",
        "--model",
        "tiny-base",
        "--factors",
        factors.toString(),
        "--share",
        share,
        "--output",
        output.toString());
  }

  private void anIndexIsOfTheProductsThatItWasBegunWith(Path corpus, Path factors)
      throws IOException {
    Path single = directory.resolve("in-fp32");
    Path rounded = directory.resolve("in-bf16");
    assertThat(index(corpus, factors, single)).as(err.toString()).isZero();
    assertThat(index(corpus, factors, rounded, "--dtype", "bf16")).as(err.toString()).isZero();
    assertThat(Files.readString(single.resolve("index.json"))).doesNotContain("products");
    assertThat(Files.readString(rounded.resolve("index.json"))).contains("\"products\" : \"bf16\"");
    assertThat(index(corpus, factors, rounded)).isEqualTo(1);
    assertThat(err.toString()).contains("is of products in bf16. Give --dtype bf16 to go on");
    Path response = directory.resolve("of-both.jsonl");
    Files.writeString(
        response,
        """
        {"responseId": "r", "messages": [{"role": "user", "content": "Who?"}], "response": "Krazor is a baker."}
        """);
    Map<Integer, Double> expected = exactInfluences(single, response);
    Map<Integer, Double> found = exactInfluences(rounded, response);
    double largest = expected.values().stream().mapToDouble(Math::abs).max().orElseThrow();
    assertThat(found).hasSameSizeAs(expected);
    expected.forEach(
        (line, influence) ->
            assertThat(found.get(line)).isCloseTo(influence, within(1e-5 * largest)));
  }

  /** Of all documents, by their lines. */
  private Map<Integer, Double> exactInfluences(Path index, Path response) throws IOException {
    out.getBuffer().setLength(0);
    assertThat(query(index, response, "--json", "--top", "30", "--rerank", "30"))
        .as(err.toString())
        .isZero();
    Map<Integer, Double> found = new LinkedHashMap<>();
    JsonNode json = new ObjectMapper().readTree(out.toString().lines().toList().get(0));
    for (String sign : List.of("positive", "negative")) {
      for (JsonNode document : json.get(sign)) {
        assertThat(document.get("exact").asBoolean()).isTrue();
        found.put(document.get("line").asInt(), document.get("influence").asDouble());
      }
    }
    assertThat(found).hasSize(30);
    out.getBuffer().setLength(0);
    return found;
  }

  private int index(Path corpus, Path factors, Path output, String... more) {
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "influence",
                "index",
                "--model",
                "tiny-base",
                "--factors",
                factors.toString(),
                "--corpus",
                corpus.toString(),
                "--output",
                output.toString()));
    arguments.addAll(List.of(more));
    return whence(arguments.toArray(new String[0]));
  }

  private void theExamplesBehindFlaggedAnswersAreACorpus(
      Path corpus, Path index, Path responses, String result) throws IOException {
    String left = "{\"responseId\": \"r\\u001b[2J\\nforged\", \"status\": \"FAILED\\u0007\"}\n";
    Path results = Files.writeString(directory.resolve("results.jsonl"), left + result + "\n");
    Path ofResults = directory.resolve("of-results.jsonl");
    assertThat(export(index, results, ofResults)).as(err.toString()).isZero();
    // what the file says goes to a terminal
    assertThat(err.toString()).contains("r\ufffd[2J forged is FAILED\ufffd and left out\n");
    Path asked = directory.resolve("asked.jsonl");
    Files.writeString(asked, Files.readAllLines(responses).get(0) + "\n");
    Path ofResponses = directory.resolve("of-responses.jsonl");
    assertThat(export(index, asked, ofResponses)).as(err.toString()).isZero();
    assertThat(Files.readString(ofResponses)).isEqualTo(Files.readString(ofResults)).isNotEmpty();
    for (String line : Files.readAllLines(ofResults)) {
      JsonNode example = new ObjectMapper().readTree(line);
      assertThat(Files.readString(corpus)).contains(example.get("id").asText());
      assertThat(example.get("influence").get("answers").get(0).get("responseId").asText())
          .isEqualTo("r-1");
    }
    assertThat(
            whence(
                "influence",
                "factors",
                "--model",
                "tiny-base",
                "--corpus",
                ofResults.toString(),
                "--layers",
                LAYERS,
                "--output",
                directory.resolve("corrected").toString()))
        .as(err.toString())
        .isZero();
    assertThat(directory.resolve("corrected").resolve("rejects-1-of-1.jsonl")).doesNotExist();

    assertThat(export(index, results, ofResults)).isEqualTo(1);
    assertThat(err.toString()).contains("of-results.jsonl is there already: give another --output");
    assertThat(export(index, responses, directory.resolve("broken.jsonl"))).isEqualTo(1);
    assertThat(err.toString()).contains("responses.jsonl, line 2: the line is no JSON");
    Files.writeString(corpus, Files.readString(corpus) + "\n");
    assertThat(export(index, results, directory.resolve("altered.jsonl"))).isEqualTo(1);
    assertThat(err.toString()).contains("is not the corpus that was indexed");
    assertThat(directory.resolve("altered.jsonl")).doesNotExist();
  }

  private int export(Path index, Path input, Path output) {
    return whence(
        "influence",
        "export",
        "--index",
        index.toString(),
        "--input",
        input.toString(),
        "--top",
        "3",
        "--output",
        output.toString());
  }

  @Test
  void whatCanNotBeIsWrongUsage() throws IOException {
    Path corpus = Files.writeString(directory.resolve("c.jsonl"), "{\"text\": \"a b c\"}\n");
    assertThat(query(corpus, "--measure", "loss")).isEqualTo(2);
    assertThat(err.toString()).contains("'loss' is no measure: write log-likelihood or log-odds.");
    assertThat(query(corpus, "--alpha", "0")).isEqualTo(2);
    assertThat(err.toString()).contains("alpha and lambda must be above 0");
    assertThat(query(corpus)).isEqualTo(1);
    assertThat(err.toString()).contains("holds no shard of an index");
  }

  /** Asks the directory, which is no index. */
  private int query(Path input, String... more) {
    return query(directory, input, more);
  }

  private int query(Path index, Path input, String... more) {
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "influence", "query", "--index", index.toString(), "--input", input.toString()));
    arguments.addAll(List.of(more));
    return whence(arguments.toArray(String[]::new));
  }

  private int whence(String... arguments) {
    return Whence.execute(new PrintWriter(out, true), new PrintWriter(err, true), arguments);
  }
}
