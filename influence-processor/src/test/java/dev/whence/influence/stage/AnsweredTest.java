package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.influence.stage.Answered.Cost;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class AnsweredTest {
  private static final Cost FIRST = new Cost(100, 1, 2, 0.5);
  private static final Cost SECOND = new Cost(10, 0, 1, 0.25);

  private static Answered answered(Cost cost) {
    return new Answered(Map.of(), List.of(), "", cost);
  }

  @Test
  void whatAQueryCostIsSaidInOneAnswerHoweverManyItsRecordsHave() {
    Answered all = answered(FIRST);
    assertThat(all.cost("queries-0-7")).isEqualTo(FIRST);
    assertThat(all.cost("queries-1-3")).isEqualTo(Cost.NONE);
    assertThat(all.plus(answered(SECOND)).cost("queries-2-5")).isEqualTo(SECOND);
  }

  /** Nobody has read what stands in a transaction that is aborted. */
  @Test
  void aRecordThatIsAnsweredAgainSaysItsCostAgain() {
    Answered all = answered(FIRST);
    assertThat(all.cost("queries-0-7")).isEqualTo(FIRST);
    assertThat(all.cost("queries-0-7")).isEqualTo(FIRST);
    Answered more = all.plus(answered(SECOND));
    assertThat(more.cost("queries-1-3")).isEqualTo(SECOND);
    assertThat(more.cost("queries-0-7")).isEqualTo(FIRST);
    assertThat(more.cost("queries-1-3")).isEqualTo(SECOND);
  }
}
