package dev.whence.transfer.merge;

import dev.whence.transfer.TransferException;
import java.util.ArrayList;
import java.util.List;
import java.util.NavigableSet;
import java.util.Optional;
import java.util.concurrent.ConcurrentSkipListSet;

/**
 * Tensors with an element that is refused, by the sentence about the first such element of each:
 * from the first tensor on nothing more is written, and others are only looked at, until there are
 * {@value #MOST}. Threads share it.
 */
public final class UnfitTensors {
  static final int MOST = 20;

  private final NavigableSet<String> sentences = new ConcurrentSkipListSet<>();

  /** Notes a tensor. */
  public void add(String sentence) {
    sentences.add(sentence);
  }

  /**
   * Notes a tensor, if it is one.
   *
   * @return whether it is
   */
  public boolean add(Optional<String> sentence) {
    sentence.ifPresent(sentences::add);
    return sentence.isPresent();
  }

  public boolean isNone() {
    return sentences.isEmpty();
  }

  /** Whether no more need be looked at. */
  public boolean isEnough() {
    return sentences.size() >= MOST;
  }

  /**
   * Ends if there is one.
   *
   * @throws TransferException with all of them
   */
  public void refuse() {
    List<String> reasons = new ArrayList<>(sentences);
    if (isEnough()) {
      reasons.add("there may be more such tensors, which were not looked at");
    }
    TransferException.refuse(reasons);
  }
}
