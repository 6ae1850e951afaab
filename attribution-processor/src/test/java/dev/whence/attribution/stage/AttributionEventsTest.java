package dev.whence.attribution.stage;

import static dev.whence.attribution.toy.Conversations.document;
import static dev.whence.attribution.toy.Conversations.question;
import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.Attributor;
import dev.whence.attribution.EarlierScores;
import dev.whence.attribution.SourcePlace;
import dev.whence.attribution.toy.Conversations;
import dev.whence.attribution.toy.ThinkingTemplate;
import dev.whence.attribution.toy.ToyTokenizer;
import dev.whence.attribution.toy.ToyTransformer;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Part;
import dev.whence.conversation.Span;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.EventWriter;
import dev.whence.schemas.avro.Attribution;
import dev.whence.schemas.avro.CandidateSource;
import dev.whence.schemas.avro.Escalation;
import dev.whence.schemas.avro.SourceScore;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class AttributionEventsTest {
  private static final Part[] PARTS = {
    document("d", "The cat sat on the mat. The dog ran. The cat sat on the mat. "),
    question("Where is the cat?")
  };

  private final AvroValues values = new AvroValues(Connection.of("", "http://127.0.0.1:1"));
  private final AttributionEvents events =
      new AttributionEvents(new EventWriter(values, "attribution-fast", "i"), "a", false, false);

  @AfterEach
  void close() {
    values.close();
  }

  private static AttributionResult attribute(Conversation conversation) {
    ToyTransformer scorer =
        new ToyTransformer(
            new ToyTokenizer(ToyTokenizer.LLAMA3, 200), 2048, 3, new ThinkingTemplate());
    return new Attributor(scorer, AttributionOptions.DEFAULT).attribute(conversation);
  }

  private Attribution event(Conversation conversation, AttributionResult result) {
    return events.of(conversation, result, new Cause("", 0)).build();
  }

  @Test
  void theReasoningStandsApartFromTheAnswer() {
    Conversation conversation = Conversations.reasoned("So the cat sat", "The mat.", PARTS);
    AttributionResult result = attribute(conversation);
    Attribution event = event(conversation, result);
    AttributionResult.Reasoning reasoning = result.reasoning().orElseThrow();
    assertThat(event.getReasoning().getTokens()).isEqualTo(reasoning.tokens());
    assertThat(event.getReasoning().getLogLikelihood()).isEqualTo(reasoning.logLikelihood());
    assertThat(event.getReasoning().getLogLikelihoodWithoutContext())
        .isEqualTo(reasoning.logLikelihoodWithoutContext().getAsDouble());
    assertThat(event.getReasoning().getGroundedness())
        .isEqualTo(reasoning.groundedness().getAsDouble());
    assertThat(event.getReasoning().getGroundednessPerToken())
        .isEqualTo(reasoning.groundednessPerToken().getAsDouble());
    assertThat(event.getReasoning().getNoiseFloor()).isEqualTo(reasoning.noiseFloor());
    for (int i = 0; i < result.sources().size(); i++) {
      assertThat(event.getSources().get(i).getReasoningTau())
          .isEqualTo(result.sources().get(i).reasoningTau().getAsDouble());
      assertThat(event.getSources().get(i).getTau()).isEqualTo(result.sources().get(i).tau());
    }
    assertThat(event.getGroups()).hasSize(1);
    assertThat(event.getGroups().get(0).getReasoningTau())
        .isEqualTo(result.groups().get(0).reasoningTau().getAsDouble());
    assertThat(event.getLogLikelihood()).isEqualTo(result.logLikelihood().getAsDouble());
  }

  @Test
  void theTargetTakesOverWhatTheFastRoleSaysOfTheReasoning() {
    Conversation conversation = Conversations.reasoned("So the cat sat", "The mat.", PARTS);
    AttributionResult result = attribute(conversation);
    Attribution event = event(conversation, result);
    SourceScore first = event.getSources().get(0);
    Escalation escalation =
        Escalation.newBuilder()
            .setResponseId("r-1")
            .setFast(event)
            .setCandidates(
                List.of(
                    CandidateSource.newBuilder()
                        .setSegment(first.getSegment())
                        .setStart(first.getStart())
                        .setEnd(first.getEnd())
                        .build()))
            .build();
    EarlierScores earlier = TargetStage.earlier(escalation).orElseThrow();
    assertThat(earlier.candidates()).containsExactly(new SourcePlace("d", new Span(0, 24)));
    assertThat(earlier.sources())
        .usingRecursiveFieldByFieldElementComparatorIgnoringFields("text")
        .isEqualTo(result.sources());
    assertThat(earlier.sources()).allMatch(source -> source.reasoningTau().isPresent());
  }

  @Test
  void anEventWithoutReasoningSaysNothingOfIt() {
    Conversation conversation = Conversations.of("The mat.", "stop", PARTS);
    Attribution event = event(conversation, attribute(conversation));
    assertThat(event.getReasoning()).isNull();
    assertThat(event.getSources()).allMatch(source -> source.getReasoningTau() == null);
    assertThat(event.getGroups()).allMatch(group -> group.getReasoningTau() == null);
  }

  @Test
  void whatDroveTheReasoningIsKeptWhenSourcesAreDropped() {
    Conversation conversation = Conversations.of("The mat.", "stop", PARTS);
    Attribution of = event(conversation, attribute(conversation));
    List<SourceScore> many = new ArrayList<>();
    for (int i = 0; i < 300; i++) {
      SourceScore.Builder source = SourceScore.newBuilder().setStart(i).setTau(i < 250 ? 1 : .1);
      many.add(source.setReasoningTau(i == 299 ? 9.0 : null).build());
    }
    Attribution large =
        Attribution.newBuilder(of)
            .setSources(many)
            .setMatrix(List.of())
            .setGroups(List.of())
            .build();
    Optional<Attribution> smaller = AttributionEvents.smaller(large);
    List<SourceScore> kept = smaller.orElseThrow().getSources();
    assertThat(kept).hasSize(200);
    assertThat(kept).endsWith(many.get(299)).startsWith(many.get(0)).contains(many.get(198));
    assertThat(kept).doesNotContain(many.get(199));
  }
}
