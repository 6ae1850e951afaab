package dev.whence.attribution;

import static dev.whence.attribution.toy.Conversations.document;
import static dev.whence.attribution.toy.Conversations.question;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.attribution.AttributionResult.Cost;
import dev.whence.attribution.AttributionResult.Reasoning;
import dev.whence.attribution.AttributionResult.SourceGroup;
import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.AttributionResult.Statement;
import dev.whence.attribution.AttributionResult.TokenScore;
import dev.whence.attribution.toy.Conversations;
import dev.whence.attribution.toy.ToyTokenizer;
import dev.whence.attribution.toy.ToyTransformer;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import dev.whence.engine.ScorerDescription;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import org.junit.jupiter.api.Test;

class AttributionJsonTest {
  private static final ScorerDescription SCORER =
      new ScorerDescription("m", "ab12", "bf16", "cpu", "", 0, 0, false, 0, List.of());

  /** A result with a different value in every field. */
  private static final AttributionResult RESULT =
      new AttributionResult(
          "r-1",
          AttributionStatus.SCORED,
          "COST_BOUNDED",
          "It was dear.",
          "hierarchical",
          SCORER,
          true,
          100,
          20,
          true,
          OptionalDouble.of(-12.5),
          OptionalDouble.of(-32.5),
          OptionalDouble.of(0.25),
          Optional.of(new Reasoning(40, -60.5, OptionalDouble.of(-80.5), 0.75)),
          List.of(
              new SourceScore(
                  "doc-7",
                  new Span(0, 4),
                  "A 🎉",
                  3.5,
                  OptionalDouble.of(7.5),
                  false,
                  "hierarchical",
                  "m",
                  "pruned"),
              new SourceScore(
                  "doc-8", new Span(2, 9), "\"B\"\n", -0.5, true, "exact-loo", "n", "full")),
          List.of(new SourcePlace("doc-9", new Span(1, 5))),
          List.of(new SourceGroup(List.of(0, 1), 4.25, OptionalDouble.of(9.5))),
          List.of(new Statement(new Span(0, 3), -4.5), new Statement(new Span(3, 9), -8)),
          List.of(List.of(3.0, 0.5), List.of(-0.75, 0.25)),
          List.of(new TokenScore(new Span(0, 3), -4.5), new TokenScore(new Span(9, 9), -8)),
          List.of("COST_BOUNDED", "CITATION_NOT_SUPPORTED"),
          2,
          false,
          new Cost(120, 480, 5, 1.5, 2e9));

  @Test
  void theObjectIsTheOneThatTheInterfacePromises() {
    assertThat(new AttributionJson(0, true).write(RESULT))
        .isEqualTo(
            "{\"responseId\":\"r-1\",\"status\":\"SCORED\",\"reasonCode\":\"COST_BOUNDED\","
                + "\"reason\":\"It was dear.\",\"phase\":\"FINAL\",\"revision\":0,"
                + "\"method\":\"hierarchical\",\"scorer\":{\"model\":\"m\",\"digest\":\"ab12\","
                + "\"dtype\":\"bf16\",\"device\":\"cpu\",\"surrogate\":true},"
                + "\"promptTokens\":100,\"responseTokens\":20,\"endTokenScored\":true,"
                + "\"logLikelihood\":-12.5,\"logLikelihoodWithoutContext\":-32.5,"
                + "\"groundedness\":20.0,\"groundednessPerToken\":1.0,\"noiseFloor\":0.25,"
                + "\"reasoning\":{\"tokens\":40,\"logLikelihood\":-60.5,"
                + "\"logLikelihoodWithoutContext\":-80.5,\"groundedness\":20.0,"
                + "\"groundednessPerToken\":0.5,\"noiseFloor\":0.75},"
                + "\"sources\":[{\"segment\":\"doc-7\",\"start\":0,\"end\":4,\"text\":\"A 🎉\","
                + "\"tau\":3.5,\"reasoningTau\":7.5,\"exact\":false,\"method\":\"hierarchical\",\"scorer\":\"m\","
                + "\"context\":\"pruned\"},{\"segment\":\"doc-8\",\"start\":2,\"end\":9,"
                + "\"text\":\"\\\"B\\\"\\n\",\"tau\":-0.5,\"reasoningTau\":null,\"exact\":true,"
                + "\"method\":\"exact-loo\",\"scorer\":\"n\",\"context\":\"full\"}],"
                + "\"leftOut\":[{\"segment\":\"doc-9\",\"start\":1,\"end\":5}],"
                + "\"groups\":[{\"sources\":[0,1],\"tau\":4.25,\"reasoningTau\":9.5}],"
                + "\"statements\":[{\"start\":0,\"end\":3,\"logLikelihood\":-4.5},"
                + "{\"start\":3,\"end\":9,\"logLikelihood\":-8.0}],"
                + "\"matrix\":[[3.0,0.5],[-0.75,0.25]],"
                + "\"flags\":[\"COST_BOUNDED\",\"CITATION_NOT_SUPPORTED\"],\"retokenizedBranches\":2,"
                + "\"truncated\":false,\"cost\":{\"trunkTokens\":120,\"branchTokens\":480,"
                + "\"passes\":5.0,\"seconds\":1.5,\"flops\":2.0E9},"
                + "\"tokens\":[{\"start\":0,\"end\":3,\"logProb\":-4.5},"
                + "{\"start\":9,\"end\":9,\"logProb\":-8.0}]}");
  }

  @Test
  void tokensAreWrittenOnlyOnRequest() throws Exception {
    assertThat(new ObjectMapper().readTree(new AttributionJson().write(RESULT)).has("tokens"))
        .isFalse();
  }

  @Test
  void whatWasWrittenReadsBack() {
    AttributionResult read = AttributionJson.read(new AttributionJson(0, true).write(RESULT));
    assertThat(read).usingRecursiveComparison().isEqualTo(RESULT);
  }

  @Test
  void unsupportedAndFailedHaveTheSameFieldsWithNullsForNumbersThatAreNotThere() throws Exception {
    ToyTransformer scorer = new ToyTransformer(new ToyTokenizer(ToyTokenizer.GPT2, 50), 512, 1);
    Attributor attributor = new Attributor(scorer, AttributionOptions.DEFAULT);
    JsonNode scored =
        json(
            attributor.attribute(
                Conversations.of("So.", "stop", document("d", "It is."), question("?"))));
    JsonNode refused =
        json(
            attributor.attribute(
                Conversations.of("So.", "stop", Part.of(PartKind.MEDIA, "m", ""))));
    assertThat(names(refused)).isEqualTo(names(scored));
    assertThat(scored.get("reasoning").isNull()).isTrue();
    assertThat(names(scored.get("sources").get(0))).doesNotContain("reasoningTau");
    assertThat(refused.get("status").asText()).isEqualTo("UNSUPPORTED");
    assertThat(refused.get("logLikelihood").isNull()).isTrue();
    assertThat(refused.get("groundedness").isNull()).isTrue();
    assertThat(refused.get("noiseFloor").isNull()).isTrue();
    assertThat(refused.get("sources")).isEmpty();
    assertThat(refused.get("scorer").get("model").asText()).isEqualTo("toy");
    assertThat(AttributionJson.read(refused.toString()).status())
        .isEqualTo(AttributionStatus.UNSUPPORTED);
  }

  private static JsonNode json(AttributionResult result) throws Exception {
    return new ObjectMapper().readTree(new AttributionJson().write(result));
  }

  private static List<String> names(JsonNode json) {
    List<String> names = new ArrayList<>();
    json.fieldNames().forEachRemaining(names::add);
    return names;
  }

  @Test
  void theTopSourcesKeepTheirOrderAndRowsAndSayThatOthersAreMissing() {
    AttributionResult read = AttributionJson.read(new AttributionJson(1, false).write(RESULT));
    assertThat(read.sources()).containsExactly(RESULT.sources().get(0));
    assertThat(read.matrix()).containsExactly(RESULT.matrix().get(0));
    assertThat(read.truncated()).isTrue();
    read = AttributionJson.read(new AttributionJson(2, false).write(RESULT));
    assertThat(read.sources()).hasSize(2);
    assertThat(read.truncated()).isFalse();
  }

  @Test
  void aNumberThatIsNoneIsNeverWritten() {
    List<SourceScore> sources = new ArrayList<>();
    sources.add(new SourceScore("d", new Span(0, 1), "x", Double.NaN, true, "e", "m", "full"));
    AttributionResult broken =
        new AttributionResult(
            "r",
            AttributionStatus.SCORED,
            "",
            "",
            "exact-loo",
            SCORER,
            false,
            1,
            1,
            false,
            OptionalDouble.of(-1),
            OptionalDouble.of(-1),
            OptionalDouble.of(0),
            Optional.empty(),
            sources,
            List.of(),
            List.of(),
            List.of(),
            List.of(),
            List.of(),
            List.of(),
            0,
            false,
            Cost.NONE);
    assertThatThrownBy(() -> new AttributionJson().write(broken))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("tau");
  }

  @Test
  void whatIsNotAnAttributionIsRefusedWithTheFieldThatIsMissing() {
    assertThatThrownBy(() -> AttributionJson.read("{\"cost\":{},\"scorer\":null}"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("responseId");
    assertThatThrownBy(() -> AttributionJson.read("{"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("line 1");
  }
}
