package dev.whence.engine.kernel;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * What a decoder may hold on its device, and what is freed where that does not suffice: keys and
 * values of closed trunks first, then what open ones keep to save time, then what {@link
 * #onShortage} named. Nothing of it changes a result by more than rounding.
 */
final class DecoderMemory {
  private final Kernel kernel;
  private final NativeMemory memory;
  private final long budget;
  private final TrunkCache trunks;
  private final List<TrunkStates> openStates = new ArrayList<>();
  private Runnable freeDispensable = () -> {};

  /**
   * @param memory counts weights and trunks
   * @param budget of the two, in bytes; 0: none
   * @param trunks closed ones
   */
  DecoderMemory(Kernel kernel, NativeMemory memory, long budget, TrunkCache trunks) {
    this.kernel = kernel;
    this.memory = memory;
    this.budget = budget;
    this.trunks = trunks;
  }

  /** States of open trunks, which put themselves in, and out again. */
  Collection<TrunkStates> openStates() {
    return openStates;
  }

  /** Whether the budget has so many bytes, closed trunks making room. */
  boolean canHold(long bytes) {
    long open = memory.trunkBytes() - trunks.bytes();
    return budget == 0 || memory.weightBytes() + open + bytes <= budget;
  }

  /** Whether the budget, if there is one, has so many bytes left. */
  boolean fits(long bytes) {
    return budget == 0 || memory.weightBytes() + memory.trunkBytes() + bytes <= budget;
  }

  /**
   * Frees closed trunks until so many bytes more fit the budget, then what open ones keep to save
   * time.
   */
  void makeRoom(long bytes) {
    if (!fits(bytes)) {
      long free = budget - memory.weightBytes() - memory.trunkBytes();
      trunks.shrink(Math.max(0, trunks.bytes() - (bytes - free)));
    }
    if (!fits(bytes)) {
      openStates.forEach(TrunkStates::drop);
    }
  }

  /**
   * Has everything that only saves time make room for the keys and values of a trunk.
   *
   * @param tokens of the trunk
   * @throws EngineException of kind UNSUPPORTED if the budget does not have so many bytes then
   *     either
   */
  void makeRoomForTrunk(long bytes, int tokens) {
    makeRoom(bytes);
    if (!fits(bytes)) {
      freeDispensable.run();
      kernel.emptyCache();
    }
    if (!fits(bytes)) {
      throw new EngineException(
          Kind.UNSUPPORTED,
          String.format(
              Locale.ROOT,
              "The keys and values of %d tokens need %d bytes beside %d in use; the memory budget"
                  + " is %d bytes.",
              tokens,
              bytes,
              memory.weightBytes() + memory.trunkBytes(),
              budget));
    }
  }

  /**
   * What else to free where the device or the budget has too little left, beside keys and values of
   * closed trunks and what open ones keep to save time. It is called on the decoder's thread, while
   * a forward of this decoder has failed or before a trunk of it is made.
   */
  void onShortage(Runnable free) {
    freeDispensable = free;
  }

  /**
   * Frees what is held only to save time, if memory is what did not suffice.
   *
   * @throws EngineException the failure, if it is another
   */
  void freeAfter(EngineException failure) {
    requireOutOfMemory(failure);
    freeAll();
  }

  /** Frees what is held only to save time. */
  void freeAll() {
    freeTrunks();
    freeDispensable.run();
    kernel.emptyCache();
  }

  /** As {@link #freeAfter}, but what {@link #onShortage} named stays. */
  void freeTrunksAfter(EngineException failure) {
    requireOutOfMemory(failure);
    freeTrunks();
    kernel.emptyCache();
  }

  /** Keys and values of closed trunks, and what open ones keep to save time. */
  private void freeTrunks() {
    trunks.shrink(0);
    openStates.forEach(TrunkStates::drop);
  }

  private static void requireOutOfMemory(EngineException failure) {
    if (!Kernel.ranOutOfMemory(failure)) {
      throw failure;
    }
  }

  /** What only saves time; empty where memory does not suffice for it. */
  <T> Optional<T> unlessOutOfMemory(Supplier<T> made) {
    try {
      return Optional.of(made.get());
    } catch (EngineException e) {
      freeTrunksAfter(e);
      return Optional.empty();
    }
  }

  /**
   * A forward over a stretch of a trunk.
   *
   * @return empty if the device ran out of memory, which was freed, and half of the tokens may go
   *     through; a single token is run once more instead
   */
  <T> Optional<T> unlessTooLarge(Supplier<T> forward, Pack pack, long trunkTokens) {
    try {
      return Optional.of(forward.get());
    } catch (EngineException e) {
      freeAfter(e);
    }
    return pack.size() > 1
        ? Optional.empty()
        : Optional.of(lastTime(forward, () -> pack.sizes(trunkTokens)));
  }

  /**
   * Runs what can not be done in smaller parts; where memory does not suffice, once more after it
   * was freed.
   *
   * @param sizes of what is run, without the full stop
   * @throws EngineException of kind RECORD, with the sizes, if memory does not suffice then either
   */
  <T> T twice(Supplier<T> forward, Supplier<String> sizes) {
    try {
      return forward.get();
    } catch (EngineException e) {
      freeAfter(e);
    }
    return lastTime(forward, sizes);
  }

  /**
   * Runs what can not be done in smaller parts, with nothing left to free.
   *
   * @param sizes of what is run, without the full stop
   * @throws EngineException of kind RECORD, with the sizes, if memory does not suffice
   */
  <T> T lastTime(Supplier<T> forward, Supplier<String> sizes) {
    try {
      return forward.get();
    } catch (EngineException e) {
      if (!Kernel.ranOutOfMemory(e)) {
        throw e;
      }
      throw new EngineException(
          Kind.RECORD,
          "This input is too large for the memory of device "
              + kernel.deviceName()
              + ", also with nothing else kept and the smallest pack: "
              + sizes.get()
              + ". Use bf16, a shorter prompt or a device with more memory.",
          e);
    }
  }
}
