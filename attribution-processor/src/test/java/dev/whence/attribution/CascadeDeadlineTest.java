package dev.whence.attribution;

import static dev.whence.attribution.toy.Conversations.document;
import static dev.whence.attribution.toy.Conversations.instruction;
import static dev.whence.attribution.toy.Conversations.question;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.attribution.toy.Conversations;
import dev.whence.attribution.toy.ForwardingScorer;
import dev.whence.attribution.toy.ToyTokenizer;
import dev.whence.attribution.toy.ToyTransformer;
import dev.whence.conversation.Conversation;
import dev.whence.engine.Branch;
import dev.whence.engine.Scorer;
import dev.whence.engine.Trunk;
import java.time.Duration;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** A cascade, or a look at the candidates of a cheaper result, whose time is over meanwhile. */
class CascadeDeadlineTest {
  /** Far more than the rest takes. */
  private static final Duration DEADLINE = Duration.ofSeconds(3);

  private static final int HEAL = 1;
  private static final int TOP = 5;

  /** Two sentences stand twice each: groups of near-duplicates. */
  private static final String CONTEXT =
      """
      The cat sat on the mat. The dog ran off to Berlin. It saw 100 birds.

      Paris is the capital of France. So it goes. The cat sat on the mat.

      The dog ran off to Berlin. Isn't it so? The log was red.""";

  private static final Conversation CONVERSATION =
      Conversations.of(
          "The cat. It is on the mat.",
          "stop",
          instruction("Answer.\n\n"),
          document("d", CONTEXT),
          question("\n\nWhere is the cat?"));

  private static Scorer toy() {
    return new ToyTransformer(new ToyTokenizer(ToyTokenizer.LLAMA3, 200), 4096, 7);
  }

  private static AttributionResult attribute(Scorer scorer, MethodOptions method) {
    return new Attributor(
            scorer,
            new AttributionOptions(method.withHeal(HEAL), Granularity.SENTENCE, 0, false, ""))
        .attribute(CONVERSATION);
  }

  /** Takes until after the deadline for one of its calls. */
  private static final class Slow extends ForwardingScorer {
    private final int slowCall;
    private int calls;

    Slow(Scorer model, int slowCall) {
      super(model);
      this.slowCall = slowCall;
    }

    @Override
    public List<double[]> score(Trunk trunk, List<Branch> branches) {
      if (calls++ == slowCall) {
        long end = System.nanoTime() + DEADLINE.toNanos();
        for (long left = DEADLINE.toNanos(); left > 0; left = end - System.nanoTime()) {
          LockSupport.parkNanos(left);
        }
      }
      return super.score(trunk, branches);
    }
  }

  private static AttributionResult slow(int call) {
    return attribute(
        new Slow(toy(), call),
        MethodOptions.of("cascade").withExactTop(TOP).withDeadline(DEADLINE));
  }

  /** The strongest by splice, of those that splice did not score exactly. */
  private static Set<Integer> again(AttributionResult splice, int count) {
    return IntStream.range(0, splice.sources().size())
        .boxed()
        .sorted(Comparator.comparingDouble(i -> -splice.sources().get(i).tau()))
        .limit(TOP)
        .filter(i -> !splice.sources().get(i).exact())
        .limit(count)
        .collect(Collectors.toSet());
  }

  private static void assertRescored(AttributionResult result, Set<Integer> again) {
    AttributionResult splice = attribute(toy(), MethodOptions.of("splice"));
    AttributionResult exact = attribute(toy(), MethodOptions.of("exact-loo"));
    for (int i = 0; i < result.sources().size(); i++) {
      SourceScore source = result.sources().get(i);
      SourceScore spliced = splice.sources().get(i);
      if (again.contains(i)) {
        assertThat(source.exact()).isTrue();
        assertThat(source.method()).isEqualTo("exact-loo");
        assertThat(source.tau()).isCloseTo(exact.sources().get(i).tau(), within(1e-9));
        assertThat(source.tau()).isNotEqualTo(spliced.tau());
      } else {
        assertThat(source).isEqualTo(spliced);
      }
    }
  }

  @Test
  void whatWasScoredAgainByThenIsExactAndTheRestIsSpliced() {
    Set<Integer> firstTwo = again(attribute(toy(), MethodOptions.of("splice")), 2);
    assertThat(firstTwo).hasSize(2);
    AttributionResult result = slow(1); // the first call splices
    assertRescored(result, firstTwo);
    assertThat(result.flags()).contains("DEADLINE_REACHED", "GROUPS_NOT_SCORED");
    assertThat(result.groups()).isEmpty();
    // Without context it is read however late it is.
    assertThat(result.groundedness().getAsDouble())
        .isCloseTo(
            attribute(toy(), MethodOptions.of("splice")).groundedness().getAsDouble(),
            within(1e-9));
  }

  @Test
  void groupsAreScoredAsLongAsThereIsTime() {
    AttributionResult whole = attribute(toy(), MethodOptions.of("cascade").withExactTop(TOP));
    assertThat(whole.groups()).hasSize(2);
    Set<Integer> all = again(attribute(toy(), MethodOptions.of("splice")), TOP);
    int steps = (all.size() + 1) / 2;
    AttributionResult result = slow(1 + steps + 1); // splice, two at a time, without context
    assertRescored(result, all);
    assertThat(result.groups()).hasSize(1);
    assertThat(result.groups().get(0).sources()).isEqualTo(whole.groups().get(0).sources());
    assertThat(result.groups().get(0).tau()).isCloseTo(whole.groups().get(0).tau(), within(1e-9));
    assertThat(result.flags()).contains("GROUPS_NOT_SCORED").doesNotContain("DEADLINE_REACHED");
  }

  /** Scores some sources of a splice again, as a target does. */
  private static AttributionResult candidates(
      Scorer scorer, AttributionResult splice, Set<Integer> sources, Duration deadline) {
    MethodOptions method = MethodOptions.of("cascade").withDeadline(deadline);
    Attributor target =
        new Attributor(scorer, new AttributionOptions(method, Granularity.SENTENCE, 0, false, ""));
    Set<SourcePlace> places =
        sources.stream()
            .map(i -> new SourcePlace("d", splice.sources().get(i).span()))
            .collect(Collectors.toSet());
    return target.attribute(
        target.read(
            CONVERSATION,
            new EarlierScores(splice.sources(), splice.matrix(), places, Optional.empty())));
  }

  private static Set<Integer> strongest(AttributionResult splice, int count) {
    return IntStream.range(0, splice.sources().size())
        .boxed()
        .sorted(Comparator.comparingDouble(i -> -splice.sources().get(i).tau()))
        .limit(count)
        .collect(Collectors.toSet());
  }

  @Test
  void candidatesAreScoredAgainTheStrongestFirstUntilThen() {
    AttributionResult splice = attribute(toy(), MethodOptions.of("splice"));
    for (int count : new int[] {4, splice.sources().size()}) { // of a pruned prompt, of a whole one
      Set<Integer> named = strongest(splice, count);
      AttributionResult whole = candidates(toy(), splice, named, Duration.ZERO);
      AttributionResult inTime = candidates(toy(), splice, named, Duration.ofHours(1));
      AttributionResult late = candidates(new Slow(toy(), 0), splice, named, DEADLINE);
      assertThat(whole.groups()).hasSize(2);
      assertThat(inTime.groups()).hasSize(2);
      assertThat(inTime.flags()).doesNotContain("DEADLINE_REACHED", "GROUPS_NOT_SCORED");
      assertThat(late.groups()).isEmpty();
      assertThat(late.flags()).contains("DEADLINE_REACHED", "GROUPS_NOT_SCORED");
      assertThat(late.logLikelihood()).isEqualTo(whole.logLikelihood());
      assertThat(late.groundedness().getAsDouble())
          .isCloseTo(whole.groundedness().getAsDouble(), within(1e-9));
      Set<Integer> again = strongest(splice, 2);
      for (int i = 0; i < splice.sources().size(); i++) {
        SourceScore expected = whole.sources().get(i);
        assertSame(inTime.sources().get(i), expected);
        assertSame(late.sources().get(i), again.contains(i) ? expected : splice.sources().get(i));
      }
    }
  }

  private static void assertSame(SourceScore source, SourceScore expected) {
    assertThat(source.tau()).isCloseTo(expected.tau(), within(1e-9));
    assertThat(source.method()).isEqualTo(expected.method());
    assertThat(source.context()).isEqualTo(expected.context());
  }
}
