package dev.whence.attribution;

import static dev.whence.attribution.toy.Conversations.document;
import static dev.whence.attribution.toy.Conversations.instruction;
import static dev.whence.attribution.toy.Conversations.question;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.attribution.toy.Conversations;
import dev.whence.attribution.toy.ToyTokenizer;
import dev.whence.attribution.toy.ToyTransformer;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Span;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.weights.ModelFiles;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Attention, gradient norm and similarity, against what Hugging Face transformers shows inside the
 * engine's random models; see introspection_fixtures.py there.
 */
class InsideMethodsTest {
  private static final Path FIXTURES = Path.of("../engine/src/test/resources/fixtures");
  private static final List<String> METHODS = List.of("attention", "gradient-norm", "similarity");

  private static final EngineOptions FP32 =
      EngineOptions.defaults().withDtype(Dtype.FP32).withDevice("cpu");

  private static AttributionResult attribute(
      LocalScorer scorer, String method, Conversation conversation) {
    AttributionResult result =
        new Attributor(
                scorer,
                new AttributionOptions(
                    MethodOptions.of(method), Granularity.SENTENCE, 0, false, ""))
            .attribute(conversation);
    assertThat(result.status()).as(result.reason()).isEqualTo(AttributionStatus.SCORED);
    return result;
  }

  private static double[] scores(AttributionResult result) {
    return result.sources().stream().mapToDouble(SourceScore::tau).toArray();
  }

  @ParameterizedTest
  @ValueSource(strings = {"smollm2", "qwen3", "mistral", "pythia", "neox_serial"})
  void scoresAreThoseOfTransformers(String family) throws IOException {
    Path directory = FIXTURES.resolve("kernel").resolve(family);
    JsonNode expected =
        new ObjectMapper().readTree(directory.resolve("introspection.json").toFile());
    try (LocalScorer scorer = LocalScorer.open(ModelFiles.open(directory), FP32)) {
      Conversation conversation = conversation(directory, expected);
      double[] attention = new double[3];
      double[] norms = new double[3];
      double[] cosines = new double[3];
      JsonNode means = expected.get("meanStates");
      for (int i = 0; i < 3; i++) {
        for (JsonNode row : expected.get("attention")) {
          attention[i] += row.get(i).asDouble();
        }
        norms[i] = expected.get("gradientNorms").get(i).asDouble();
        cosines[i] = cosine(means.get(i), means.get(3), means.get(4));
      }
      assertThat(scores(attribute(scorer, "attention", conversation)))
          .containsExactly(attention, within(1e-4));
      assertThat(scores(attribute(scorer, "gradient-norm", conversation)))
          .containsExactly(norms, within(2e-2)); // of norms up to 67
      assertThat(scores(attribute(scorer, "similarity", conversation)))
          .containsExactly(cosines, within(1e-4));
    }
  }

  private static double cosine(JsonNode u, JsonNode v, JsonNode mu) {
    double uv = 0;
    double uu = 0;
    double vv = 0;
    for (int d = 0; d < mu.size(); d++) {
      double x = u.get(d).asDouble() - mu.get(d).asDouble();
      double y = v.get(d).asDouble() - mu.get(d).asDouble();
      uv += x * y;
      uu += x * x;
      vv += y * y;
    }
    return uv / Math.sqrt(uu * vv);
  }

  /** The fixture's sequence as words; its groups of tokens are the caller's spans. */
  private static Conversation conversation(Path directory, JsonNode expected) throws IOException {
    JsonNode json = new ObjectMapper().readTree(directory.resolve("expected.json").toFile());
    List<String> words = new ArrayList<>();
    json.get("ids").forEach(id -> words.add("t" + id.asInt()));
    int prompt = words.size() - expected.get("response").asInt();
    JsonNode groups = expected.get("groups");
    int from = groups.get(0).get(0).asInt();
    int to = groups.get(groups.size() - 1).get(1).asInt();
    Span[] spans = new Span[groups.size()];
    for (int i = 0; i < spans.length; i++) {
      int start = text(words, from, groups.get(i).get(0).asInt()).length();
      spans[i] = new Span(start, text(words, from, groups.get(i).get(1).asInt()).length());
    }
    return Conversations.of(
        text(words, prompt, words.size()).strip(),
        "length",
        instruction(text(words, 0, from)),
        document("d", text(words, from, to), spans),
        question(text(words, to, prompt)));
  }

  private static String text(List<String> words, int from, int to) {
    return words.subList(from, to).stream().map(word -> word + " ").collect(Collectors.joining());
  }

  @Test
  void rowsSumToTheScoreAndTheCostIsCounted() {
    Conversation conversation =
        Conversations.of(
            "The cat sat. The end.",
            "length",
            document("d", "The mat sat. The story."),
            question("the cat?"));
    try (LocalScorer scorer =
        LocalScorer.open(ModelFiles.open(FIXTURES.resolve("weights/llama")), FP32)) {
      AttributionResult exact = attribute(scorer, "exact-loo", conversation);
      assertThat(exact.statements()).hasSize(2);
      assertThat(exact.sources()).hasSize(2);
      Map<String, Integer> tokens = new HashMap<>();
      for (String method : METHODS) {
        AttributionResult result = attribute(scorer, method, conversation);
        assertThat(result.logLikelihood()).isEqualTo(exact.logLikelihood());
        for (int i = 0; i < 2; i++) {
          assertThat(result.matrix().get(i).stream().mapToDouble(Double::doubleValue).sum())
              .isCloseTo(result.sources().get(i).tau(), within(1e-9));
          assertThat(result.sources().get(i).exact()).isFalse();
          assertThat(result.sources().get(i).method()).isEqualTo(method);
        }
        tokens.put(
            method, Math.toIntExact(result.cost().trunkTokens() + result.cost().branchTokens()));
        assertThat(result.cost().flops()).isPositive();
      }
      // beside what all need: the response's rows; the sequence; a forward and three backwards, of
      // each statement and of all
      int t = exact.promptTokens() + exact.responseTokens();
      int attention = tokens.getOrDefault("attention", 0) - exact.responseTokens() - 1;
      assertThat(tokens).containsEntry("similarity", attention + t);
      assertThat(tokens).containsEntry("gradient-norm", attention + 4 * t);
      assertThat(attention).isBetween(t, 2 * t);
    }
  }

  @Test
  void aScorerThatCanNotBeLookedIntoIsUnsupported() {
    ToyTransformer scorer = new ToyTransformer(new ToyTokenizer(ToyTokenizer.LLAMA3, 200), 4096, 7);
    Conversation conversation =
        Conversations.of("Yes.", "stop", document("d", "The cat sat."), question("Is it?"));
    for (String method : METHODS) {
      AttributionResult result =
          new Attributor(
                  scorer,
                  new AttributionOptions(
                      MethodOptions.of(method), Granularity.SENTENCE, 0, false, ""))
              .attribute(conversation);
      assertThat(result.status()).isEqualTo(AttributionStatus.UNSUPPORTED);
      assertThat(result.reason()).contains("behind a server");
    }
  }

  @Test
  void ablationsOfSetsOfSourcesAgreeWithLeaveOneOut() throws IOException {
    Path directory = FIXTURES.resolve("kernel/smollm2");
    JsonNode expected =
        new ObjectMapper().readTree(directory.resolve("introspection.json").toFile());
    Conversation conversation = conversation(directory, expected);
    try (LocalScorer scorer = LocalScorer.open(ModelFiles.open(directory), FP32);
        ContextAblation ablation =
            ContextAblation.open(scorer, AttributionOptions.DEFAULT, conversation)) {
      AttributionResult exact = attribute(scorer, "exact-loo", conversation);
      List<Set<Integer>> sets = new ArrayList<>();
      sets.add(Set.of());
      IntStream.range(0, 3).forEach(i -> sets.add(Set.of(i)));
      sets.add(Set.of(2, 0));
      List<Double> likelihoods = ablation.without(sets);
      double whole = exact.logLikelihood().getAsDouble();
      assertThat(ablation.sources()).isEqualTo(3);
      assertThat(likelihoods.get(0)).isCloseTo(whole, within(1e-9));
      for (int i = 0; i < 3; i++) {
        assertThat(whole - likelihoods.get(1 + i))
            .isCloseTo(exact.sources().get(i).tau(), within(1e-3));
      }
      assertThat(likelihoods.get(4)).isNotEqualTo(likelihoods.get(3));
      assertThat(ablation.without(List.of(Set.of(0, 2)))).containsExactly(likelihoods.get(4));
    }
  }
}
