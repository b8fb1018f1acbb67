// JournalDamage: what one reader of the journal says of its file, told when it changes.
//
// Place:  in whoever asks a JournalReader for what it cannot do without. Thread: the owner's.
#pragma once

#include <string>
#include <utility>

#include "store/journal.h"

namespace purgeline {

class JournalDamage {
 public:
  // `reader`: like no other of this journal, which outlives this.
  JournalDamage(Journal& journal, std::string reader)
      : journal_(journal), reader_(std::move(reader)) {}
  JournalDamage(const JournalDamage&) = delete;
  JournalDamage& operator=(const JournalDamage&) = delete;

  // Of each answer. Any error other than of a damaged file is the disk's.
  template <class Answer>
  void take(const Result<Answer>& answer) {
    if (answer || answer.error().code != Errc::corrupt) return clear();
    known_ = true;
    journal_.report_damage(reader_, answer.error().detail);
  }
  void clear() {
    if (std::exchange(known_, false)) journal_.report_damage(reader_, "");
  }

 private:
  Journal& journal_;
  const std::string reader_;
  bool known_{false};
};

}  // namespace purgeline
