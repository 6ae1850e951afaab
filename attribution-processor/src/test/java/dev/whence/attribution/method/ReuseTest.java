package dev.whence.attribution.method;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.engine.Branch;
import dev.whence.engine.View;
import java.util.Arrays;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;

/** What a branch sees and computes is the whole ablated prompt with its response, once each. */
class ReuseTest {
  /**
   * A full prompt of distinct tokens from which [from, to) is cut; some tokens beside it change.
   */
  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  private record Cut(int[] full, Reuse.Reading reading) {
    static Cut of(
        Random random, int length, int changedBefore, int changedAfter, boolean reasoning) {
      int[] full = new int[length];
      for (int i = 0; i < length; i++) {
        full[i] = i;
      }
      int from = random.nextInt(length - changedBefore - changedAfter) + changedBefore;
      int to = from + 1 + random.nextInt(length - from - changedAfter);
      int prefix = from - changedBefore;
      int suffix = length - to - changedAfter;
      int changed = random.nextInt(changedBefore + changedAfter + 1);
      int[] ids = new int[prefix + changed + suffix];
      for (int i = 0; i < ids.length; i++) {
        ids[i] =
            i < prefix ? full[i] : i < prefix + changed ? 5000 + i : full[length - ids.length + i];
      }
      int[] response = new int[1 + random.nextInt(4)];
      Arrays.setAll(response, i -> 9000 + i);
      int tail = reasoning && ids.length > 1 ? random.nextInt(ids.length) : 0;
      int scoredFrom = ids.length - tail;
      // What is not shared may have become more or fewer tokens.
      int fullTail = tail <= suffix ? tail : suffix + random.nextInt(length - suffix);
      return new Cut(
          full,
          new Reuse.Reading(ids, prefix, suffix, length, scoredFrom, length - fullTail, response));
    }
  }

  /** What stands at each position of the reading, -1 where nothing does. */
  private static int[] reads(Branch branch, int[] full, int length) {
    int[] read = new int[length];
    Arrays.fill(read, -1);
    for (View view : branch.views()) {
      for (int k = view.from(); k < view.to(); k++) {
        assertThat(read[k - view.shift()]).isEqualTo(-1);
        read[k - view.shift()] = full[k];
      }
    }
    for (int i = 0; i < branch.tokens().length; i++) {
      assertThat(read[branch.positions()[i]]).isEqualTo(-1);
      read[branch.positions()[i]] = branch.tokens()[i];
    }
    return read;
  }

  private static int[] wanted(Reuse.Reading reading) {
    int[] all = Arrays.copyOf(reading.ids(), reading.ids().length + reading.response().length);
    System.arraycopy(reading.response(), 0, all, reading.ids().length, reading.response().length);
    return all;
  }

  @Property(tries = 2000)
  void everyTokenOfTheReadingStandsAtItsPositionOnce(
      @ForAll long seed,
      @ForAll @IntRange(min = 8, max = 40) int length,
      @ForAll @IntRange(min = 0, max = 2) int before,
      @ForAll @IntRange(min = 0, max = 2) int after,
      @ForAll @IntRange(min = 0, max = 40) int heal,
      @ForAll @IntRange(min = 0, max = 40) int contextEnd,
      @ForAll boolean reasoning) {
    Cut cut = Cut.of(new Random(seed), length, before, after, reasoning);
    if (cut.reading().ids().length == 0) {
      return;
    }
    for (Reuse reuse :
        new Reuse[] {
          new Reuse.Nothing(),
          new Reuse.Prefix(),
          new Reuse.Spliced(heal, contextEnd, echoes(seed, contextEnd))
        }) {
      Branch branch = reuse.branch(cut.reading());
      int[] wanted = wanted(cut.reading());
      assertThat(reads(branch, cut.full(), wanted.length)).isEqualTo(wanted);
      assertThat(branch.scored())
          .isEqualTo(
              cut.reading().response().length
                  + cut.reading().ids().length
                  - cut.reading().scoredFrom());
    }
  }

  @Property(tries = 500)
  void aSpliceComputesTheHealedTokensAndTheTailOnly(
      @ForAll long seed,
      @ForAll @IntRange(min = 0, max = 12) int heal,
      @ForAll @IntRange(min = 1, max = 6) int tail) {
    Cut cut = Cut.of(new Random(seed), 40, 0, 0, false);
    Reuse.Reading reading = cut.reading();
    if (reading.ids().length == 0) {
      return;
    }
    int removedTo = 40 - reading.suffix();
    Branch branch = new Reuse.Spliced(heal, 40 - tail, echoes(seed, 40 - tail)).branch(reading);
    if (removedTo + heal < 40 - tail) {
      assertThat(branch.tokens()).hasSize(heal + tail + reading.response().length);
      assertThat(Reuse.isExact(branch)).isFalse();
    } else {
      assertThat(branch.tokens()).isEqualTo(new Reuse.Prefix().branch(reading).tokens());
      assertThat(Reuse.isExact(branch)).isTrue();
    }
  }

  /** Of words of one letter, five of them, one a token. */
  private static Echoes echoes(long seed, int tokens) {
    Random random = new Random(~seed);
    StringBuilder text = new StringBuilder();
    int[] starts = new int[tokens];
    int[] ends = new int[tokens];
    for (int t = 0; t < tokens; t++) {
      starts[t] = text.length();
      text.append((char) ('a' + random.nextInt(5))).append(' ');
      ends[t] = text.length();
    }
    return Echoes.of(starts, ends, text.toString(), "c");
  }
}
